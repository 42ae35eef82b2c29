//! Real phones for tests: whether a program is there, and baresip as a caller or an agent.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::free_port;

/// Whether a program is installed; says so where it is not.
pub fn has(program: &str) -> bool {
    let there =
        Command::new("sh").args(["-c", &format!("command -v {program}")]).output().is_ok_and(|o| o.status.success());
    if !there {
        let _ = writeln!(std::io::stdout(), "SKIPPED: {program} is not installed; run scripts/setup.sh test");
    }
    there
}

/// How a baresip is set up.
pub struct Phone<'a> {
    /// Its folder, and its name in SIP.
    pub home: PathBuf,
    /// User part of its address.
    pub user: &'a str,
    /// `PCMU`, `PCMA`, `G722` or `opus`.
    pub codec: &'a str,
    /// Keys are demanded (RTP/SAVP).
    pub srtp: bool,
    /// More parameters of its account.
    pub account: &'a str,
    /// What it does once it runs, as its menu has it.
    pub command: Option<String>,
    /// Ends by itself after so many seconds.
    pub seconds: u32,
}

/// A running baresip; ended when dropped.
pub struct Baresip {
    child: Child,
    home: PathBuf,
}

/// Hz of the tone that a phone's microphone hears, at an amplitude of 6,000.
pub const TONE: f32 = 445.0;

/// The microphone's sound: a tone, or a file of it.
pub fn tone(path: &Path, rate: u32, channels: u16, seconds: u32) -> Result<()> {
    let wave = |i: u32| ((i as f32 / rate as f32 * TONE * std::f32::consts::TAU).sin() * 6_000.0) as i16;
    let pcm: Vec<i16> = (0..rate * seconds).flat_map(|i| std::iter::repeat_n(wave(i), usize::from(channels))).collect();
    let bytes = pcm.len() as u32 * 2;
    let mut out = Vec::with_capacity(44 + pcm.len() * 2);
    out.extend_from_slice(b"RIFF");
    out.extend_from_slice(&(36 + bytes).to_le_bytes());
    out.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0");
    out.extend_from_slice(&channels.to_le_bytes());
    out.extend_from_slice(&rate.to_le_bytes());
    out.extend_from_slice(&(rate * u32::from(channels) * 2).to_le_bytes());
    out.extend_from_slice(&(channels * 2).to_le_bytes());
    out.extend_from_slice(b"\x10\0data");
    out.extend_from_slice(&bytes.to_le_bytes());
    pcm.iter().for_each(|sample| out.extend_from_slice(&sample.to_le_bytes()));
    Ok(std::fs::write(path, out)?)
}

impl Baresip {
    /// Starts it against a gateway.
    pub fn start(gateway: SocketAddr, phone: &Phone<'_>) -> Result<Self> {
        let home = phone.home.clone();
        std::fs::create_dir_all(&home)?;
        let modules =
            ["/usr/lib/baresip/modules", "/usr/lib/x86_64-linux-gnu/baresip/modules", "/usr/local/lib/baresip/modules"];
        let modules = modules.iter().find(|m| Path::new(m).exists()).context("baresip's modules were not found")?;
        // Its files play at the codec's own rate and channels.
        let (name, rate, channels) = match phone.codec {
            "G722" => ("g722", 16_000, 1),
            "opus" => ("opus/48000/2", 48_000, 2),
            "PCMA" => ("pcma", 8_000, 1),
            _ => ("pcmu", 8_000, 1),
        };
        tone(&home.join("says.wav"), rate, channels, phone.seconds + 5)?;
        let port = free_port()?;
        let config = format!(
            "sip_listen 127.0.0.1:{port}\nnet_interface 127.0.0.1\naudio_source aufile,{}\naudio_player aubridge,nobody\n\
             audio_channels 1-2\nmodule_path {modules}\nsnd_path {}\nmodule sndfile.so\nmodule g711.so\nmodule g722.so\n\
             module opus.so\nmodule srtp.so\nmodule aufile.so\nmodule aubridge.so\nmodule_app account.so\n\
             module_app menu.so\n",
            home.join("says.wav").display(),
            home.display()
        );
        std::fs::write(home.join("config"), config)?;
        let keys = if phone.srtp { ";mediaenc=srtp-mand" } else { "" };
        let account = format!("<sip:{}@{gateway}>;audio_codecs={name}{keys}{}\n", phone.user, phone.account);
        std::fs::write(home.join("accounts"), account)?;
        let mut command = Command::new("baresip");
        command.arg("-f").arg(&home).args(["-t", &phone.seconds.to_string()]);
        if let Some(order) = &phone.command {
            command.args(["-e", order]);
        }
        let log = std::fs::File::create(home.join("log"))?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("baresip does not start")?;
        let output = child.stdout.take().context("no standard output")?;
        std::thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).for_each(drop));
        Ok(Self { child, home })
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self) -> Result<()> {
        self.child.wait()?;
        Ok(())
    }

    /// What it has heard so far: its module `sndfile` writes it down.
    pub fn heard(&self) -> Result<baton_audio::Clip> {
        let mut files = std::fs::read_dir(&self.home)?.map_while(Result::ok).map(|f| f.path());
        let heard = files.find(|f| f.to_string_lossy().ends_with("-dec.wav")).context("the phone heard nothing")?;
        Ok(baton_audio::load_clip(&heard)?)
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The level of a tone in a sound at 8 kHz (its amplitude).
pub fn level(pcm: &[i16], hz: f32) -> f32 {
    let (mut re, mut im) = (0.0, 0.0);
    for (i, sample) in pcm.iter().enumerate() {
        let angle = i as f32 * hz * std::f32::consts::TAU / 8_000.0;
        (re, im) = (re + f32::from(*sample) * angle.cos(), im + f32::from(*sample) * angle.sin());
    }
    (re * re + im * im).sqrt() * 2.0 / pcm.len().max(1) as f32
}

/// A recording of the gateway's, read back: left and right at 8 kHz.
pub fn recording(path: &Path) -> Result<(Vec<i16>, Vec<i16>)> {
    let mut reader = ogg::PacketReader::new(std::fs::File::open(path)?);
    let mut decoder = baton_opus::Decoder::new(8_000, true)?;
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let mut packets = 0;
    while let Some(packet) = reader.read_packet()? {
        packets += 1;
        if packets <= 2 {
            continue; // the two header packets (RFC 7845 §5)
        }
        let mut pcm = [0; 320];
        let samples = decoder.decode(&packet.data, &mut pcm);
        left.extend(pcm.iter().take(2 * samples).step_by(2));
        right.extend(pcm.iter().take(2 * samples).skip(1).step_by(2));
    }
    Ok((left, right))
}
