//! Reads one matrix of little-endian 32-bit floats from a NumPy `.npz` (a zip of `.npy`). Nothing else of either format.

use std::io::{Cursor, Read};

/// Why an `.npz` did not give the matrix.
#[derive(Debug, thiserror::Error)]
pub enum NpzError {
    /// Not a zip, or no such array in it.
    #[error("mel filters: {0}")]
    Zip(#[from] zip::result::ZipError),
    /// It ends too early.
    #[error("mel filters: {0}")]
    Io(#[from] std::io::Error),
    /// Not a plain matrix of 32-bit floats.
    #[error("mel filters: {0}")]
    Format(String),
}

/// A matrix, row by row.
#[derive(Debug, PartialEq)]
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) values: Vec<f32>,
}

/// The array `name` (without `.npy`).
pub(crate) fn matrix(npz: &[u8], name: &str) -> Result<Matrix, NpzError> {
    let mut archive = zip::ZipArchive::new(Cursor::new(npz))?;
    let mut npy = Vec::new();
    // Mel filters are 100 KiB; an archive that blows up beyond this is not one of them.
    archive.by_name(&format!("{name}.npy"))?.take(16 << 20).read_to_end(&mut npy)?;
    parse(&npy).map_err(NpzError::Format)
}

/// NumPy format 1 and 2: magic, version, header length (u16, u32), a Python dictionary in ASCII, data.
fn parse(npy: &[u8]) -> Result<Matrix, String> {
    let rest = npy.strip_prefix(b"\x93NUMPY").ok_or("not an .npy array")?;
    let (header, data) = match rest {
        [1, _, a, b, rest @ ..] => rest.split_at_checked(usize::from(u16::from_le_bytes([*a, *b]))),
        [2, _, a, b, c, d, rest @ ..] => rest.split_at_checked(u32::from_le_bytes([*a, *b, *c, *d]) as usize),
        _ => None,
    }
    .ok_or(".npy header cut short or of an unknown version")?;
    let header = std::str::from_utf8(header).map_err(|_| ".npy header is not text")?;
    let field =
        |key: &str| header.split_once(key).map(|(_, after)| after.trim_start().trim_start_matches(':').trim_start());
    if !field("'descr'").is_some_and(|f| f.starts_with("'<f4'")) {
        return Err(format!("not little-endian 32-bit floats: {}", header.trim()));
    }
    if !field("'fortran_order'").is_some_and(|f| f.starts_with("False")) {
        return Err("stored column by column".into());
    }
    let shape = field("'shape'").and_then(|f| f.strip_prefix('(')?.split_once(')')).map(|(inside, _)| inside);
    let shape: Vec<usize> = shape
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|s| !s.is_empty())
        .map(|s| s.parse().map_err(|_| format!("shape {s:?}")))
        .collect::<Result<_, _>>()?;
    let &[rows, columns] = shape.as_slice() else { return Err(format!("not a matrix: shape {shape:?}")) };
    let wanted = rows.checked_mul(columns).and_then(|n| n.checked_mul(4));
    if wanted != Some(data.len()) {
        return Err(format!("{} bytes for a {rows} × {columns} matrix", data.len()));
    }
    let (quads, _) = data.as_chunks::<4>();
    Ok(Matrix { rows, columns, values: quads.iter().map(|b| f32::from_le_bytes(*b)).collect() })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let mut out = b"\x93NUMPY\x01\x00".to_vec();
        out.extend((header.len() as u16).to_le_bytes());
        out.extend(header.as_bytes());
        out.extend(data);
        out
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    #[test]
    fn a_deflated_matrix_is_read_by_name() {
        let array = npy(
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n",
            &floats(&[1., 2., 3., 4., 5., -0.]),
        );
        let npz = crate::unpack::tests::zip_of(&[("mel_128.npy", b"other"), ("mel_80.npy", &array)]);
        let m = matrix(&npz, "mel_80").unwrap();
        assert_eq!((m.rows, m.columns), (2, 3));
        assert_eq!(m.values[..5], [1., 2., 3., 4., 5.]);
        assert!(m.values[5].is_sign_negative(), "bits are kept as they are");
    }

    #[test]
    fn what_is_no_such_matrix_is_refused_with_the_reason() {
        let ok = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }";
        for (bytes, reason) in [
            (npy(&ok.replace("<f4", "<f8"), &[0; 16]), "32-bit floats"),
            (npy(&ok.replace("False", "True"), &[0; 8]), "column by column"),
            (npy(&ok.replace("(1, 2)", "(2,)"), &[0; 8]), "not a matrix"),
            (npy(&ok.replace("(1, 2)", "(99999999999, 99999999999)"), &[0; 8]), "bytes for a"),
            (npy(ok, &[0; 7]), "7 bytes for a 1 × 2"),
            (b"PK".to_vec(), "not an .npy"),
            (b"\x93NUMPY\x01\x00\xff\xff".to_vec(), "cut short"),
        ] {
            let error = parse(&bytes).unwrap_err();
            assert!(error.contains(reason), "{error} should say {reason}");
        }
    }
}
