//! CTranslate2's Whisper to whisper.cpp's ggml (16-bit), byte for byte what whisper.cpp publishes.
//!
//! Not a general converter: 16-bit multilingual models only. Tensors follow in the order of OpenAI's checkpoint (decoder
//! first; in each block the MLP before the attention), which is neither file's own order, so the model must be seekable.
//! Vectors and positional embeddings are widened to 32 bits; nothing is ever narrowed. Data goes through in small pieces.

use crate::ct2::{Ct2Error, Kind, Model};
use crate::npz::{self, NpzError};
use base64::Engine as _;
use std::io::{self, Read, Seek, Write};

/// What the checkpoint does not hold: read from OpenAI's `whisper/assets`.
pub struct Assets {
    /// `mel_filters.npz`, whole.
    pub mel_filters: Vec<u8>,
    /// `multilingual.tiktoken`, whole.
    pub vocabulary: Vec<u8>,
}

/// Why a conversion failed.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The model is not what it should be.
    #[error(transparent)]
    Model(#[from] Ct2Error),
    /// The mel filters are not.
    #[error(transparent)]
    Mel(#[from] NpzError),
    /// The vocabulary is not: this line of it.
    #[error("vocabulary, line {0}: neither empty nor a base64 token and its rank")]
    Vocabulary(usize),
    /// Fused attention weights are not laid out as expected.
    #[error("tensor {0} is not laid out as this converter expects")]
    Layout(String),
    /// Writing failed.
    #[error("writing the ggml file: {0}")]
    Write(io::Error),
}

/// Converts. `model` is the CTranslate2 `model.bin` from first byte to last; what is written must still be checked against
/// the published SHA-1.
pub fn convert(model: impl Read + Seek, assets: &Assets, out: &mut impl Write) -> Result<(), ConvertError> {
    let mut model = Model::open(model)?;
    header(&model, assets, out)?;
    for piece in pieces(&model)? {
        write_tensor(&mut model, &piece, out)?;
    }
    Ok(())
}

const MAGIC: i32 = 0x6767_6d6c; // "ggml"
const F32: i32 = 0;
const F16: i32 = 1;

/// A tensor to write: all of the source, or some of its rows.
#[derive(Debug)]
struct Piece {
    name: String,
    source: String,
    rows: Option<(u64, u64)>,
}

fn header<R: Read + Seek>(model: &Model<R>, assets: &Assets, out: &mut impl Write) -> Result<(), ConvertError> {
    let dimension = |tensor: &str, axis: usize| -> Result<i32, ConvertError> {
        let size = model.get(tensor)?.shape.get(axis).copied().unwrap_or(0);
        i32::try_from(size).map_err(|_| ConvertError::Layout(tensor.to_owned()))
    };
    let width = dimension("decoder/embeddings/weight", 1)?;
    let mels = dimension("encoder/conv1/weight", 1)?;
    let hyperparameters = [
        MAGIC,
        dimension("decoder/embeddings/weight", 0)?,
        dimension("encoder/position_encodings/encodings", 0)?,
        width,
        width / 64, // every Whisper has heads of 64
        model.blocks("encoder/layer_") as i32,
        dimension("decoder/position_encodings/encodings", 0)?,
        width,
        width / 64,
        model.blocks("decoder/layer_") as i32,
        mels,
        F16,
    ];
    ints(out, &hyperparameters)?;

    let mel = npz::matrix(&assets.mel_filters, &format!("mel_{mels}"))?;
    ints(out, &[mel.rows as i32, mel.columns as i32])?;
    for value in &mel.values {
        // Today's file has one -0.0 where the one used for the published models had 0.0; adding zero makes it that.
        put(out, &(value + 0.0).to_le_bytes())?;
    }

    let tokens = tokens(&assets.vocabulary)?;
    ints(out, &[tokens.len() as i32])?;
    for token in &tokens {
        ints(out, &[token.len() as i32])?;
        put(out, token)?;
    }
    Ok(())
}

/// tiktoken's format: a line for each token, in rank order: base64, a space, the rank.
fn tokens(vocabulary: &[u8]) -> Result<Vec<Vec<u8>>, ConvertError> {
    let lines = vocabulary.split(|b| *b == b'\n').enumerate();
    lines
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(i, line)| {
            let token = line.trim_ascii().split(|b| *b == b' ').next().unwrap_or_default();
            if token == b"=" {
                return Ok(Vec::new()); // how OpenAI's file writes its last, empty token
            }
            base64::engine::general_purpose::STANDARD.decode(token).map_err(|_| ConvertError::Vocabulary(i + 1))
        })
        .collect()
}

/// Everything to write, in the checkpoint's order.
fn pieces<R: Read + Seek>(model: &Model<R>) -> Result<Vec<Piece>, ConvertError> {
    let width = model.get("decoder/embeddings/weight")?.shape.get(1).copied().unwrap_or(0);
    let mut list = List { width, pieces: Vec::new() };
    list.whole("decoder.positional_embedding", "decoder/position_encodings/encodings");
    list.whole("encoder.positional_embedding", "encoder/position_encodings/encodings");
    list.whole("decoder.token_embedding.weight", "decoder/embeddings/weight");
    for i in 0..model.blocks("decoder/layer_") {
        list.block(&format!("decoder.blocks.{i}"), &format!("decoder/layer_{i}"), true);
    }
    list.norm("decoder.ln", "decoder/layer_norm");
    for conv in ["conv1", "conv2"] {
        list.linear(&format!("encoder.{conv}"), &format!("encoder/{conv}"));
    }
    for i in 0..model.blocks("encoder/layer_") {
        list.block(&format!("encoder.blocks.{i}"), &format!("encoder/layer_{i}"), false);
    }
    list.norm("encoder.ln_post", "encoder/layer_norm");
    for piece in &list.pieces {
        let tensor = model.get(&piece.source)?;
        if piece.rows.is_some_and(|(first, rows)| first + rows > tensor.rows()) {
            return Err(ConvertError::Layout(piece.source.clone()));
        }
    }
    Ok(list.pieces)
}

struct List {
    width: u64,
    pieces: Vec<Piece>,
}

impl List {
    fn whole(&mut self, name: &str, source: &str) {
        self.pieces.push(Piece { name: name.to_owned(), source: source.to_owned(), rows: None });
    }

    /// The `nth` of the matrices, each `width` rows high, that CTranslate2 stacks in one.
    fn nth(&mut self, name: &str, source: &str, nth: u64) {
        let rows = Some((nth * self.width, self.width));
        self.pieces.push(Piece { name: name.to_owned(), source: source.to_owned(), rows });
    }

    fn linear(&mut self, name: &str, source: &str) {
        self.whole(&format!("{name}.weight"), &format!("{source}/weight"));
        self.whole(&format!("{name}.bias"), &format!("{source}/bias"));
    }

    fn norm(&mut self, name: &str, source: &str) {
        self.whole(&format!("{name}.weight"), &format!("{source}/gamma"));
        self.whole(&format!("{name}.bias"), &format!("{source}/beta"));
    }

    fn block(&mut self, name: &str, source: &str, cross: bool) {
        self.norm(&format!("{name}.mlp_ln"), &format!("{source}/ffn/layer_norm"));
        self.linear(&format!("{name}.mlp.0"), &format!("{source}/ffn/linear_0"));
        self.linear(&format!("{name}.mlp.2"), &format!("{source}/ffn/linear_1"));

        let (to, from) = (format!("{name}.attn"), format!("{source}/self_attention"));
        self.norm(&format!("{name}.attn_ln"), &format!("{from}/layer_norm"));
        // Query, key and value in one; keys have no bias in Whisper, so theirs is left out.
        self.nth(&format!("{to}.query.weight"), &format!("{from}/linear_0/weight"), 0);
        self.nth(&format!("{to}.query.bias"), &format!("{from}/linear_0/bias"), 0);
        self.nth(&format!("{to}.key.weight"), &format!("{from}/linear_0/weight"), 1);
        self.nth(&format!("{to}.value.weight"), &format!("{from}/linear_0/weight"), 2);
        self.nth(&format!("{to}.value.bias"), &format!("{from}/linear_0/bias"), 2);
        self.linear(&format!("{to}.out"), &format!("{from}/linear_1"));
        if !cross {
            return;
        }
        let (to, from) = (format!("{name}.cross_attn"), format!("{source}/attention"));
        self.norm(&format!("{name}.cross_attn_ln"), &format!("{from}/layer_norm"));
        self.linear(&format!("{to}.query"), &format!("{from}/linear_0"));
        self.nth(&format!("{to}.key.weight"), &format!("{from}/linear_1/weight"), 0);
        self.nth(&format!("{to}.value.weight"), &format!("{from}/linear_1/weight"), 1);
        self.nth(&format!("{to}.value.bias"), &format!("{from}/linear_1/bias"), 1);
        self.linear(&format!("{to}.out"), &format!("{from}/linear_2"));
    }
}

fn write_tensor<R: Read + Seek>(model: &mut Model<R>, piece: &Piece, out: &mut impl Write) -> Result<(), ConvertError> {
    let tensor = model.get(&piece.source)?.clone();
    let (first, rows) = piece.rows.unwrap_or((0, tensor.rows()));
    let mut shape: Vec<u64> = tensor.shape.clone();
    if let Some(d) = shape.first_mut() {
        *d = rows;
    }
    shape.retain(|d| *d != 1);
    let conv_bias = piece.name.starts_with("encoder.conv") && piece.name.ends_with(".bias");
    if conv_bias {
        shape.push(1);
    }
    let wide = shape.len() < 2 || conv_bias || piece.name.ends_with("positional_embedding");
    if !matches!((tensor.kind, wide), (Kind::F16, _) | (Kind::F32, true)) {
        return Err(ConvertError::Layout(piece.source.clone()));
    }
    ints(out, &[shape.len() as i32, piece.name.len() as i32, if wide { F32 } else { F16 }])?;
    for d in shape.iter().rev() {
        ints(out, &[*d as i32])?;
    }
    put(out, piece.name.as_bytes())?;

    let mut data = model.rows(&piece.source, first, rows)?;
    let mut buffer = vec![0; 64 * 1024];
    let mut left = rows * tensor.row_bytes();
    while left > 0 {
        let n = left.min(buffer.len() as u64) as usize;
        data.read_exact(&mut buffer[..n]).map_err(Ct2Error::Io)?;
        if wide && tensor.kind == Kind::F16 {
            let (halves, _) = buffer[..n].as_chunks::<2>();
            let widened: Vec<u8> = halves.iter().flat_map(|h| widen(u16::from_le_bytes(*h)).to_le_bytes()).collect();
            put(out, &widened)?;
        } else {
            put(out, &buffer[..n])?;
        }
        left -= n as u64;
    }
    Ok(())
}

/// IEEE 754 binary16 to binary32; exact.
fn widen(half: u16) -> f32 {
    let sign = u32::from(half >> 15) << 31;
    let (exponent, fraction) = (u32::from(half >> 10) & 0x1f, u32::from(half) & 0x3ff);
    match exponent {
        0 => f32::from_bits(sign | (fraction as f32 * f32::from_bits(0x3380_0000)).to_bits()), // × 2^-24
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

fn ints(out: &mut impl Write, values: &[i32]) -> Result<(), ConvertError> {
    values.iter().try_for_each(|v| put(out, &v.to_le_bytes()))
}

fn put(out: &mut impl Write, bytes: &[u8]) -> Result<(), ConvertError> {
    out.write_all(bytes).map_err(ConvertError::Write)
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
