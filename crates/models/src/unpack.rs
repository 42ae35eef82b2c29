//! Takes members out of a wheel (zip) or a source archive (tar.gz). The archive's own checksum was checked before.

use crate::checksum::copy;
use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::Path;

/// Writes the member whose path ends in `member`.
pub(crate) fn member(archive: &Path, member: &str, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let absent = || io::Error::new(io::ErrorKind::NotFound, format!("no {member} in {}", archive.display()));
    let file = BufReader::new(File::open(archive)?);
    if is_tar(archive) {
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(file));
        for entry in tar.entries()? {
            let mut entry = entry?;
            if entry.path()?.to_string_lossy().ends_with(member) {
                return copy(&mut entry, out, |_| ()).map(drop);
            }
        }
        return Err(absent());
    }
    let mut zip = zip::ZipArchive::new(file)?;
    let name = zip.file_names().flatten().find(|n| n.ends_with(member)).map(|n| n.into_owned()).ok_or_else(absent)?;
    copy(&mut zip.by_name(&name)?, out, |_| ()).map(drop)
}

/// Writes all files below `prefix` (which ends in a slash) into the folder `to`.
pub(crate) fn folder(archive: &Path, prefix: &str, to: &Path) -> io::Result<()> {
    let mut zip = zip::ZipArchive::new(BufReader::new(File::open(archive)?))?;
    for i in 0..zip.len() {
        let mut entry = zip.by_index(i)?;
        let Some(path) = entry.enclosed_name() else { continue };
        let Ok(below) = path.strip_prefix(prefix) else { continue };
        if !entry.is_file() {
            continue;
        }
        let path = to.join(below);
        fs::create_dir_all(path.parent().unwrap_or(to))?;
        copy(&mut entry, &mut File::create(path)?, |_| ())?;
    }
    Ok(())
}

fn is_tar(archive: &Path) -> bool {
    archive.to_string_lossy().ends_with(".tar.gz")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A deflated zip with these members.
    pub(crate) fn zip_of(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        for (name, bytes) in members {
            zip.start_file(*name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }
}
