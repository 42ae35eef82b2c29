//! Reads a CTranslate2 Whisper `model.bin`: an index of its tensors, whose data stays in the file until asked for.
//!
//! Layout, little-endian: version u32, specification string, revision u32; then a count and for each variable its name,
//! rank u8, dimensions u32, type u8, length u32 and data; then a count of aliases, each two names. A string is a u16
//! length and bytes ending in NUL. Every length is checked against the file before it is believed.

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// Why a file is no CTranslate2 Whisper model that can be converted.
#[derive(Debug, thiserror::Error)]
pub enum Ct2Error {
    /// It cannot be read, or ends too early.
    #[error("reading the CTranslate2 model: {0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("not a CTranslate2 Whisper model: {0}")]
    Format(String),
    /// A tensor the conversion needs is not in it.
    #[error("the CTranslate2 model has no tensor {0}")]
    NoTensor(String),
}

/// Numbers as they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    F32,
    F16,
    /// Integers of quantised models: recognised, not convertible.
    Other(u8),
}

impl Kind {
    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::F32 | Self::Other(3) => 4,
            Self::F16 | Self::Other(2) => 2,
            Self::Other(_) => 1,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) shape: Vec<u64>,
    pub(crate) kind: Kind,
    offset: u64,
}

impl Tensor {
    /// Bytes of one row, a row being all behind the first dimension.
    pub(crate) fn row_bytes(&self) -> u64 {
        self.shape.iter().skip(1).product::<u64>() * self.kind.bytes()
    }

    pub(crate) fn rows(&self) -> u64 {
        self.shape.first().copied().unwrap_or(1)
    }
}

pub(crate) struct Model<R> {
    reader: BufReader<R>,
    tensors: HashMap<String, Tensor>,
}

impl<R: Read + Seek> Model<R> {
    /// Reads the index; the reader stands at the model's first byte and ends with it.
    pub(crate) fn open(mut inner: R) -> Result<Self, Ct2Error> {
        let length = inner.seek(SeekFrom::End(0))?;
        inner.rewind()?;
        let mut r = BufReader::with_capacity(64 * 1024, inner);
        let version = u32_of(&mut r)?;
        let specification = string(&mut r)?;
        // Before version 5 types and lengths were laid out otherwise.
        if !(5..100).contains(&version) || specification != "WhisperSpec" {
            return Err(Ct2Error::Format(format!("version {version}, specification {specification:?}")));
        }
        u32_of(&mut r)?; // revision of the specification
        let mut tensors = HashMap::new();
        for _ in 0..u32_of(&mut r)? {
            let name = string(&mut r)?;
            let tensor = tensor(&mut r, &name, length)?;
            tensors.insert(name, tensor);
        }
        for _ in 0..u32_of(&mut r)? {
            let (alias, of) = (string(&mut r)?, string(&mut r)?);
            let same = tensors.get(&of).cloned().ok_or(Ct2Error::NoTensor(of))?;
            tensors.insert(alias, same);
        }
        let end = r.stream_position()?;
        if end != length {
            return Err(Ct2Error::Format(format!("{} bytes follow its end", length.saturating_sub(end))));
        }
        Ok(Self { reader: r, tensors })
    }

    pub(crate) fn get(&self, name: &str) -> Result<&Tensor, Ct2Error> {
        self.tensors.get(name).ok_or_else(|| Ct2Error::NoTensor(name.to_owned()))
    }

    /// How many blocks named `PREFIX0`, `PREFIX1`, … there are.
    pub(crate) fn blocks(&self, prefix: &str) -> usize {
        (0..).take_while(|i| self.tensors.contains_key(&format!("{prefix}{i}/ffn/linear_0/weight"))).count()
    }

    /// The stored bytes of `rows` rows of a tensor, from `first` on.
    pub(crate) fn rows(&mut self, name: &str, first: u64, rows: u64) -> Result<impl Read + '_, Ct2Error> {
        let t = self.get(name)?;
        let (start, bytes) = (t.offset + first * t.row_bytes(), rows * t.row_bytes());
        self.reader.seek(SeekFrom::Start(start))?;
        Ok((&mut self.reader).take(bytes))
    }
}

fn tensor<R: Read + Seek>(r: &mut BufReader<R>, name: &str, length: u64) -> Result<Tensor, Ct2Error> {
    let rank = u8_of(r)?;
    let shape = (0..rank).map(|_| Ok(u64::from(u32_of(r)?))).collect::<Result<Vec<_>, io::Error>>()?;
    let kind = match u8_of(r)? {
        0 => Kind::F32,
        4 => Kind::F16,
        other @ 1..=3 => Kind::Other(other),
        other => return Err(Ct2Error::Format(format!("tensor {name} has type {other}"))),
    };
    let bytes = u64::from(u32_of(r)?);
    let offset = r.stream_position()?;
    let counted = shape.iter().try_fold(kind.bytes(), |n, d| n.checked_mul(*d));
    if counted != Some(bytes) || offset + bytes > length {
        return Err(Ct2Error::Format(format!("tensor {name} of shape {shape:?} cannot have {bytes} bytes here")));
    }
    r.seek_relative(bytes as i64)?;
    Ok(Tensor { shape, kind, offset })
}

fn string(r: &mut impl Read) -> Result<String, Ct2Error> {
    let mut length = [0; 2];
    r.read_exact(&mut length)?;
    let mut bytes = vec![0; usize::from(u16::from_le_bytes(length))];
    r.read_exact(&mut bytes)?;
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    String::from_utf8(bytes).map_err(|_| Ct2Error::Format("a name is not UTF-8".into()))
}

fn u8_of(r: &mut impl Read) -> io::Result<u8> {
    let mut b = [0; 1];
    r.read_exact(&mut b)?;
    Ok(b[0])
}

fn u32_of(r: &mut impl Read) -> io::Result<u32> {
    let mut b = [0; 4];
    r.read_exact(&mut b)?;
    Ok(u32::from_le_bytes(b))
}
