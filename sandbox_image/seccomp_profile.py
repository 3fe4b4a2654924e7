"""Writes seccomp.json, the outer wall's allow-list of system calls: `python -m sandbox_image.seccomp_profile`.

The JSON is what an engine reads; this is where it is changed and where the reasons stand. Everything not named is
refused with EPERM: io_uring, ptrace, process_vm_*, userfaultfd, the kernel's key rings, perf, bpf, mounting, unshare
and setns, memfd, System V IPC and POSIX message queues, module and reboot calls, and sockets of any family but AF_UNIX
(hence no vsock, netlink, packet or AF_ALG). The inner wall refuses a session more than this: see `zygote.walls`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PROFILE = Path(__file__).with_name("seccomp.json")

ENOSYS = 38
AF_UNIX = 1
CLONE_NAMESPACES = 0x7E020000
"""Every CLONE_NEW* flag that fits into clone's first argument."""

ALLOWED: dict[str, str] = {
    "open, read and write files": """
        access faccessat faccessat2 open openat openat2 creat close close_range read readv pread64 preadv
        preadv2 write writev pwrite64 pwritev pwritev2 lseek dup dup2 dup3 fcntl flock ioctl umask""",
    "look at files and folders": """
        stat lstat fstat newfstatat statx statfs fstatfs getdents getdents64 readlink readlinkat getcwd chdir
        fchdir getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr""",
    "change files and folders": """
        mkdir mkdirat mknod mknodat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink
        symlinkat chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes utimensat futimesat
        truncate ftruncate fallocate fadvise64 fsync fdatasync sync_file_range copy_file_range sendfile setxattr
        lsetxattr fsetxattr removexattr lremovexattr fremovexattr""",
    "memory": """
        brk mmap mprotect munmap mremap madvise mincore msync mlock mlock2 munlock membarrier get_mempolicy""",
    "processes and threads": """
        fork vfork execve exit exit_group wait4 waitid set_tid_address set_robust_list get_robust_list futex
        futex_waitv futex_wait futex_wake futex_requeue rseq arch_prctl gettid getpid getppid getpgid getpgrp
        setpgid getsid setsid getuid geteuid getgid getegid getresuid getresgid getgroups""",
    "signals": """
        rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack kill
        tkill tgkill signalfd signalfd4 pause alarm getitimer setitimer restart_syscall pidfd_open
        pidfd_send_signal""",
    "clocks and timers": """
        clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times timer_create timer_settime
        timer_gettime timer_getoverrun timer_delete timerfd_create timerfd_settime timerfd_gettime""",
    "scheduling and limits": """
        sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_getscheduler sched_getattr
        sched_get_priority_max sched_get_priority_min sched_rr_get_interval getpriority setpriority getcpu
        getrlimit setrlimit prlimit64 getrusage sysinfo uname""",
    "waiting for input": """
        pipe pipe2 poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait
        epoll_pwait2 eventfd eventfd2""",
    "local sockets, made below with AF_UNIX only": """
        bind listen accept accept4 connect shutdown getsockname getpeername getsockopt setsockopt sendto sendmsg
        sendmmsg recvfrom recvmsg recvmmsg""",
    "randomness": "getrandom",
    "the inner wall builds itself with these": """
        prctl capget capset seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self""",
}


def profile() -> dict[str, Any]:
    """The profile as the engine's JSON has it."""
    rules: list[dict[str, Any]] = [
        {"names": sorted(names.split()), "action": "SCMP_ACT_ALLOW", "args": [], "comment": f"to {purpose}"}
        for purpose, names in ALLOWED.items()
    ]
    rules += [
        _only("clone", 0, CLONE_NAMESPACES, "SCMP_CMP_MASKED_EQ", "no new namespaces"),
        # Its flags lie in memory where no filter can see them; told that it does not exist, libc uses clone.
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS, "args": [], "comment": "use clone"},
        _only("socket", 0, AF_UNIX, "SCMP_CMP_EQ", "AF_UNIX only"),
        _only("socketpair", 0, AF_UNIX, "SCMP_CMP_EQ", "AF_UNIX only"),
    ]
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        # Native calls only: the 32-bit and x32 tables are doors of their own.
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
        ],
        "syscalls": rules,
    }


def _only(name: str, index: int, value: int, operator: str, comment: str) -> dict[str, Any]:
    argument = {"index": index, "value": value, "valueTwo": 0, "op": operator}
    return {"names": [name], "action": "SCMP_ACT_ALLOW", "args": [argument], "comment": comment}


def render() -> str:
    """The text of seccomp.json."""
    return json.dumps(profile(), indent=2) + "\n"


if __name__ == "__main__":
    PROFILE.write_text(render())
