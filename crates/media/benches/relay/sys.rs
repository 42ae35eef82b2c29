//! The system calls a load generator needs and std does not have. Every `unsafe` of the benchmark is here.

use std::io;
use std::mem;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Readiness of many sockets.
pub struct Epoll(OwnedFd);

impl Epoll {
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the descriptor is owned by nobody else.
        unsafe {
            let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(Self(OwnedFd::from_raw_fd(fd))) }
        }
    }

    pub fn add(&self, fd: RawFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        // SAFETY: live descriptors and one event.
        match unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// What is ready now, by token.
    pub fn ready(&self) -> Vec<u64> {
        self.wait(0)
    }

    /// What is ready within so many milliseconds; -1 waits for ever.
    pub fn wait(&self, timeout_ms: i32) -> Vec<u64> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 512];
        // SAFETY: as many writable events as said.
        let n = unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), 512, timeout_ms) };
        events[..usize::try_from(n).unwrap_or(0)].iter().map(|event| event.u64).collect()
    }
}

/// Nanoseconds of a clock that never jumps.
pub fn monotonic() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds of the clock that stamps arrivals.
pub fn wall() -> u64 {
    clock(libc::CLOCK_REALTIME)
}

fn clock(id: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: one writable timespec.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Sleeps until a moment of [`monotonic`].
pub fn sleep_until(at: u64) {
    let time = libc::timespec { tv_sec: (at / 1_000_000_000) as i64, tv_nsec: (at % 1_000_000_000) as i64 };
    // SAFETY: one readable timespec, no remainder asked for.
    unsafe { libc::clock_nanosleep(libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME, &raw const time, std::ptr::null_mut()) };
}

/// Has the kernel stamp what arrives, and gives it room.
pub fn stamp_arrivals(socket: &UdpSocket) -> io::Result<()> {
    for (option, value) in [(libc::SO_TIMESTAMPNS, 1), (libc::SO_RCVBUF, 1 << 20)] {
        let value: libc::c_int = value;
        let size = mem::size_of_val(&value) as libc::socklen_t;
        // SAFETY: a live socket and a readable int.
        let done =
            unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, (&raw const value).cast(), size) };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The next datagram, if one waits, and when it arrived by [`wall`].
pub fn receive(socket: &UdpSocket, bytes: &mut [u8]) -> Option<(usize, u64)> {
    let mut control = [0u64; 16];
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: the header names one writable buffer and one writable control area, with their sizes; the control messages
    // are walked with the system's own macros, and a stamp is read only where one of its kind lies.
    unsafe {
        let mut header: libc::msghdr = mem::zeroed();
        (header.msg_iov, header.msg_iovlen) = (&raw mut part, 1);
        (header.msg_control, header.msg_controllen) = (control.as_mut_ptr().cast(), mem::size_of_val(&control));
        let length = libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT);
        let length = usize::try_from(length).ok()?;
        let mut message = libc::CMSG_FIRSTHDR(&raw const header);
        while !message.is_null() {
            if (*message).cmsg_level == libc::SOL_SOCKET && (*message).cmsg_type == libc::SO_TIMESTAMPNS {
                let time: libc::timespec = std::ptr::read_unaligned(libc::CMSG_DATA(message).cast());
                return Some((length, time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64));
            }
            message = libc::CMSG_NXTHDR(&raw const header, message);
        }
        Some((length, wall()))
    }
}

/// Pins the calling thread to one core; threads it starts inherit that.
pub fn pin(core: usize) {
    // SAFETY: a cpu_set_t is plain bits, given with its size.
    unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, mem::size_of_val(&set), &raw const set);
    }
}

/// Asks for real-time scheduling of a thread (0: the calling one); whether it was granted.
pub fn real_time(thread: i32) -> bool {
    // SAFETY: a plain struct read by the call.
    unsafe {
        let mut param: libc::sched_param = mem::zeroed();
        param.sched_priority = 5;
        libc::sched_setscheduler(thread, libc::SCHED_FIFO, &raw const param) == 0
    }
}

/// Kernel id of the calling thread.
pub fn thread_id() -> i32 {
    // SAFETY: no arguments.
    unsafe { libc::gettid() }
}

/// CPU time of a thread of a process, in ns (its schedstat); of all its threads where `thread` is `None`.
pub fn cpu_ns(process: u32, thread: Option<i32>) -> u64 {
    let of = |path: std::path::PathBuf| -> u64 {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
    };
    let tasks = std::path::PathBuf::from(format!("/proc/{process}/task"));
    match thread {
        Some(thread) => of(tasks.join(thread.to_string()).join("schedstat")),
        None => {
            let entries = std::fs::read_dir(tasks).into_iter().flatten().flatten();
            entries.map(|entry| of(entry.path().join("schedstat"))).sum()
        }
    }
}

/// The thread of this process that has this name.
pub fn thread_named(name: &str) -> Option<i32> {
    std::fs::read_dir("/proc/self/task").ok()?.flatten().find_map(|entry| {
        let found = std::fs::read_to_string(entry.path().join("comm")).ok()?;
        (found.trim_end() == name).then(|| entry.file_name().to_str()?.parse().ok())?
    })
}

/// Resident memory of this process, in KiB.
pub fn resident_kib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}
