//! A system call filter that makes every sync a success that does nothing.
//!
//! A tree under construction is thrown away when anything fails, so what dpkg, apt, ldconfig and the
//! file system tools spend on waiting for the disk is spent for nothing. One filter on the worker
//! covers every program under it, also those that no preload library reaches.
//!
//! Format of the program: classic BPF over `struct seccomp_data`, seccomp(2).

#![expect(unsafe_code, reason = "installing a filter is a system call that rustix does not have")]

use crate::error::{Context, Kind, Result};

/// AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64 of linux/audit.h.
const ARCH_X86_64: u32 = 0xc000_003e;
const ARCH_I386: u32 = 0x4000_0003;
const ARCH_AARCH64: u32 = 0xc000_00b7;

/// Numbers of sync, fsync, fdatasync, sync_file_range and syncfs, by architecture.
const SYNC_CALLS: [(u32, [u32; 5]); 3] = [
    (ARCH_X86_64, [162, 74, 75, 277, 306]),
    (ARCH_I386, [36, 118, 148, 314, 344]),
    (ARCH_AARCH64, [81, 82, 83, 84, 267]),
];

/// Offsets in `struct seccomp_data`.
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCH: u32 = 4;

/// SECCOMP_RET_ALLOW, and SECCOMP_RET_ERRNO with errno 0: the call returns 0.
const ALLOW: u32 = 0x7fff_0000;
const SUCCEED: u32 = 0x0005_0000;

fn load(offset: u32) -> libc::sock_filter {
    libc::sock_filter { code: (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, jt: 0, jf: 0, k: offset }
}

fn jump_if_equal(value: u32, if_true: u8, if_false: u8) -> libc::sock_filter {
    libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: if_true,
        jf: if_false,
        k: value,
    }
}

fn answer(value: u32) -> libc::sock_filter {
    libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: value }
}

/// The program: per architecture, a block that is jumped over where the architecture differs.
fn program() -> Vec<libc::sock_filter> {
    let mut program = vec![load(OFFSET_ARCH)];
    for (arch, calls) in SYNC_CALLS {
        // The block: load the number, one comparison per call, allow, succeed.
        program.push(jump_if_equal(arch, 0, 8));
        program.push(load(OFFSET_NUMBER));
        for (index, call) in calls.iter().enumerate() {
            program.push(jump_if_equal(*call, 5 - index as u8, 0));
        }
        program.push(answer(ALLOW));
        program.push(answer(SUCCEED));
    }
    program.push(answer(ALLOW));
    program
}

/// Makes every sync of this process and its children a success that does nothing.
///
/// The process must have CAP_SYS_ADMIN in its user namespace.
pub fn ignore_syncs() -> Result<()> {
    let mut instructions = program();
    let filter = libc::sock_fprog { len: instructions.len() as u16, filter: instructions.as_mut_ptr() };
    // SAFETY: `filter` points to a program that outlives the call; the kernel copies it.
    let result = unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, std::ptr::from_ref(&filter), 0, 0)
    };
    let outcome = if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) };
    outcome.context(Kind::Host, || "installing the system call filter".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program on one call, as the kernel would.
    fn evaluate(arch: u32, number: u32) -> u32 {
        let program = program();
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let instruction = &program[at];
            at += 1;
            match u32::from(instruction.code) & 0x07 {
                libc::BPF_LD => accumulator = if instruction.k == OFFSET_ARCH { arch } else { number },
                libc::BPF_JMP => {
                    let equal = accumulator == instruction.k;
                    at += usize::from(if equal { instruction.jt } else { instruction.jf });
                }
                _ => return instruction.k,
            }
        }
    }

    #[test]
    fn only_syncs_are_answered() {
        for (arch, calls) in SYNC_CALLS {
            for number in 0..512 {
                let expected = if calls.contains(&number) { SUCCEED } else { ALLOW };
                assert_eq!(evaluate(arch, number), expected, "call {number} on {arch:#x}");
            }
        }
        assert_eq!(evaluate(0, 74), ALLOW);
    }
}
