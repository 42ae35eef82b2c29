//! The few things of Linux that std does not offer: epoll, timer and event descriptors, thread placement, DSCP, room on disks. Every
//! `unsafe` of the crate is here: a system call on descriptors this module owns and memory of the caller's stack.

use std::ffi::CString;
use std::io;
use std::mem;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// A counter that wakes whoever polls it.
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers.
        owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }).map(Self)
    }

    /// Makes it readable.
    pub fn signal(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight readable bytes. A full counter (EAGAIN) is readable already.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Makes it unreadable until the next signal.
    pub fn clear(&self) {
        drain(&self.0);
    }

    /// Blocks until it is readable.
    pub fn wait(&self) {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd. Interrupted or not, the caller looks for itself what there is to do.
        unsafe { libc::poll(&raw mut poll, 1, -1) };
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// A timer that becomes readable at a steady period.
pub struct Ticker(OwnedFd);

impl Ticker {
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers.
        let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK) };
        owned(fd).map(Self)
    }

    /// First in `first` (not zero), then every `period`. The kernel keeps absolute time: it does not drift.
    pub fn start(&self, first: Duration, period: Duration) {
        self.set(first, period);
    }

    pub fn stop(&self) {
        self.set(Duration::ZERO, Duration::ZERO);
    }

    pub fn clear(&self) {
        drain(&self.0);
    }

    fn set(&self, first: Duration, period: Duration) {
        let spec = libc::itimerspec { it_interval: timespec(period), it_value: timespec(first) };
        // SAFETY: a timer descriptor, a readable spec. It fails for invalid times only, which `timespec` cannot make.
        unsafe { libc::timerfd_settime(self.0.as_raw_fd(), 0, &raw const spec, std::ptr::null_mut()) };
    }
}

impl AsRawFd for Ticker {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Waits for many descriptors at once.
pub struct Epoll(OwnedFd);

/// Descriptors one wait can report.
const READY: usize = 256;

/// What [`Epoll::wait`] fills.
pub type Ready = [libc::epoll_event; READY];

impl Epoll {
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers.
        owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }).map(Self)
    }

    /// Watches a descriptor for input; `token` names it in what is ready.
    pub fn add(&self, fd: &impl AsRawFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        // SAFETY: a live descriptor and one event.
        done(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd(), &raw mut event) })
    }

    /// Watches it no more.
    pub fn remove(&self, fd: &impl AsRawFd) {
        // SAFETY: a live descriptor; the event may be null. It fails only if it was not watched.
        unsafe {
            libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_DEL, fd.as_raw_fd(), std::ptr::null_mut());
        }
    }

    /// Blocks until something is ready; how many of `ready` are filled.
    pub fn wait(&self, ready: &mut Ready) -> usize {
        self.poll(ready, -1)
    }

    /// What is ready already.
    pub fn look(&self, ready: &mut Ready) -> usize {
        self.poll(ready, 0)
    }

    fn poll(&self, ready: &mut Ready, timeout_ms: i32) -> usize {
        // SAFETY: the events are writable and as many as said. An interruption is nothing ready.
        let n = unsafe { libc::epoll_wait(self.0.as_raw_fd(), ready.as_mut_ptr(), ready.len() as i32, timeout_ms) };
        usize::try_from(n).unwrap_or(0)
    }

    /// An empty [`Ready`].
    pub fn ready() -> Ready {
        [libc::epoll_event { events: 0, u64: 0 }; READY]
    }
}

/// Sleeps for a moment, or for less if a signal comes.
pub fn rest(d: Duration) {
    let spec = timespec(d);
    // SAFETY: a readable time, no remainder asked for.
    unsafe { libc::clock_nanosleep(libc::CLOCK_MONOTONIC, 0, &raw const spec, std::ptr::null_mut()) };
}

/// Marks what a socket sends as expedited forwarding (DSCP 46, RFC 3246). Where it is refused, media is best effort.
pub fn mark_expedited(socket: &UdpSocket) {
    let class: libc::c_int = 46 << 2;
    for (level, option) in [(libc::IPPROTO_IP, libc::IP_TOS), (libc::IPPROTO_IPV6, libc::IPV6_TCLASS)] {
        // SAFETY: a live socket and a readable int; the wrong family is refused by the kernel.
        unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                level,
                option,
                (&raw const class).cast(),
                mem::size_of_val(&class) as libc::socklen_t,
            );
        }
    }
}

/// Pins the calling thread to the `n`th core this process may use; false if the system refuses.
pub fn pin(n: usize) -> bool {
    // SAFETY: a cpu_set_t is plain bits; the calls get it with its size, for the calling thread (0).
    unsafe {
        let mut allowed: libc::cpu_set_t = mem::zeroed();
        if libc::sched_getaffinity(0, mem::size_of_val(&allowed), &raw mut allowed) != 0 {
            return false;
        }
        let cores = (0..libc::CPU_SETSIZE as usize).filter(|core| libc::CPU_ISSET(*core, &allowed));
        let Some(core) = cores.clone().nth(n % cores.count().max(1)) else { return false };
        let mut wanted: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(core, &mut wanted);
        libc::sched_setaffinity(0, mem::size_of_val(&wanted), &raw const wanted) == 0
    }
}

/// Asks for real-time scheduling of the calling thread; false where it may not have it.
pub fn ask_for_real_time() -> bool {
    // SAFETY: a plain struct, read by the call; the calling thread (0).
    unsafe {
        let mut param: libc::sched_param = mem::zeroed();
        param.sched_priority = 10;
        libc::sched_setscheduler(0, libc::SCHED_RR, &raw const param) == 0
    }
}

/// Random numbers, for sources, sequences and timestamps that must not be guessed.
pub fn random() -> [u64; 2] {
    let mut bytes = [0u8; 16];
    fill_random(&mut bytes);
    [0, 8].map(|at| bytes.get(at..).and_then(|b| b.first_chunk()).copied().map_or(0, u64::from_ne_bytes))
}

/// Fills up to 256 bytes with the system's random numbers, fit for keys.
pub fn fill_random(bytes: &mut [u8]) {
    // SAFETY: as many writable bytes as said; so few are never cut short once the pool is ready, which this call awaits.
    unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len().min(256), 0) };
}

/// Bytes that this user may still write on the disk of a folder.
pub fn free_space(folder: &Path) -> io::Result<u64> {
    let path = CString::new(folder.as_os_str().as_bytes())?;
    // SAFETY: a plain struct to be filled; a string that ends in NUL.
    let mut disk: libc::statvfs = unsafe { mem::zeroed() };
    // SAFETY: the same.
    done(unsafe { libc::statvfs(path.as_ptr(), &raw mut disk) })?;
    Ok(disk.f_bavail * disk.f_frsize)
}

fn drain(fd: &OwnedFd) {
    let mut count = [0u8; 8];
    // SAFETY: eight writable bytes. Nothing to read (EAGAIN) is as good.
    unsafe { libc::read(fd.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
}

fn timespec(d: Duration) -> libc::timespec {
    libc::timespec { tv_sec: d.as_secs() as libc::time_t, tv_nsec: libc::c_long::from(d.subsec_nanos()) }
}

fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    done(fd)?;
    // SAFETY: just opened, owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
