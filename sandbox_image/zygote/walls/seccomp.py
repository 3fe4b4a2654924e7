"""The seccomp filters: one for the zygote's own processes, a tighter one on top for each session.

Both are deny-lists that answer EPERM: honest numerical code makes calls nobody foresees and must not die of them. Calls
newer than the list answer ENOSYS, as an older kernel would, so that a new kernel brings no new way out.
"""

from __future__ import annotations

import errno
from typing import Final

from sandbox_image.zygote.walls.bpf import ALLOW, Program, refuse
from sandbox_image.zygote.walls.syscalls import NEWEST, Architecture

_X32_BIT: Final = 1 << 30

_CLONE_THREAD: Final = 0x0001_0000
_CLONE_NAMESPACES: Final = 0x7E02_0000
_MAP_TYPE_AND_ANONYMOUS: Final = 0x2F
_SHARED_ANONYMOUS: Final = (0x21, 0x23)
_AF_UNIX: Final = 1
_SOCKET_TYPE: Final = 0xF
_SOCK_STREAM: Final = 1

# Refused to every process of the sandbox. The zygote's own processes have their channels open before this is in force.
_NEVER: Final = """
# Talking to anything outside.
socket connect bind listen accept accept4
io_uring_setup io_uring_enter io_uring_register
# Other processes' memory and descriptors, and the kernel's own insides.
ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_getfd userfaultfd
perf_event_open bpf keyctl add_key request_key lookup_dcookie migrate_pages move_pages modify_ldt ioperm iopl
personality syslog kexec_load kexec_file_load init_module finit_module delete_module uselib nfsservctl
# New programs, namespaces and mounts.
execve execveat vfork unshare setns mount umount2 move_mount fsopen fsconfig fsmount fspick open_tree
open_tree_attr mount_setattr pivot_root chroot statmount listmount name_to_handle_at open_by_handle_at
# What outlives the process that made it, or changes the machine.
shmget shmat shmctl shmdt msgget msgsnd msgrcv msgctl semget semop semtimedop semctl
mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr
acct swapon swapoff reboot sethostname setdomainname settimeofday clock_settime clock_adjtime adjtimex vhangup
quotactl quotactl_fd fanotify_init fanotify_mark inotify_init inotify_init1 inotify_add_watch
"""

# Refused to sessions as well.
_NEVER_IN_A_SESSION: Final = """
fork seccomp capset sendmsg sendmmsg pidfd_open pidfd_send_signal
# Memory that no resident-set figure shows.
memfd_create memfd_secret
# Owner, mode, times and attributes of files need no open file, so Landlock does not see them.
chmod fchmod fchmodat fchmodat2 chown lchown fchown fchownat utime utimes utimensat futimesat
setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat file_setattr
setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups ioprio_set
"""

# F_SETOWN, F_SETSIG, F_SETOWN_EX send any signal to any process of the user; the others act on shared things.
_FCNTL_DENIED: Final = (8, 10, 15, 1024, 1026, 1031)
# TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: what isatty and non-blocking reads need.
_IOCTL_ALLOWED: Final = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
# PDEATHSIG, DUMPABLE, MM, CHILD_SUBREAPER, SECCOMP, SCHED_CORE, PTRACER: what the zygote relies on.
_PRCTL_DENIED: Final = (1, 4, 22, 35, 36, 62, 0x59616D61)


def zygote_filter(architecture: Architecture) -> Program:
    """The filter for the zygote's own processes: they fork, signal and inspect sessions, and nothing beyond."""
    program = _start(architecture)
    _deny(program, architecture, _NEVER)
    _finish_clone(program, architecture, mask=_CLONE_NAMESPACES, wanted=0)
    program.end(ALLOW)
    return program


def session_filter(architecture: Architecture, pid: int, landlock_abi: int) -> Program:
    """The filter for one session: no new processes, no files' metadata, no signal to anyone but itself.

    Args:
        architecture: The machine's processor family.
        pid: The session's own process id, compared in the filter.
        landlock_abi: Landlock's version; before 3 it does not see files being cut off by their path.
    """
    numbers = architecture.numbers
    program = _start(architecture)
    _deny(program, architecture, _NEVER)
    _deny(program, architecture, _NEVER_IN_A_SESSION)
    if landlock_abi < 3:
        program.call(numbers["truncate"], refuse())
    own_group = (pid, 0, -pid & 0xFFFF_FFFF)
    program.call_unless_in(numbers["kill"], 0, own_group, refuse())
    for name in ("tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"):
        program.call_unless_in(numbers[name], 0, (pid,), refuse())
    for name in ("prlimit64", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler"):
        program.call_unless_in(numbers[name], 0, (0, pid), refuse())
    # setpriority(which, who): only PRIO_PROCESS, only itself.
    program.call_unless_in(numbers["setpriority"], 0, (0,), refuse())
    program.call_unless_in(numbers["setpriority"], 1, (0, pid), refuse())
    # A connected pair of streams cannot be pointed at anything else; a datagram socket could be.
    program.call_unless_in(numbers["socketpair"], 0, (_AF_UNIX,), refuse())
    program.call_unless_masked(numbers["socketpair"], 1, _SOCKET_TYPE, _SOCK_STREAM, refuse())
    program.call_unless_null(numbers["sendto"], 4, refuse())
    program.call_if_in(numbers["prctl"], 0, _PRCTL_DENIED, refuse())
    program.call_if_in(numbers["fcntl"], 1, _FCNTL_DENIED, refuse())
    program.call_unless_in(numbers["ioctl"], 1, _IOCTL_ALLOWED, refuse())
    # Shared anonymous memory stays allocated while no page of it is mapped, where no watch can see it.
    program.call_if_masked(numbers["mmap"], 3, _MAP_TYPE_AND_ANONYMOUS, _SHARED_ANONYMOUS, refuse())
    _finish_clone(program, architecture, mask=_CLONE_NAMESPACES | _CLONE_THREAD, wanted=_CLONE_THREAD)
    program.end(ALLOW)
    return program


def _start(architecture: Architecture) -> Program:
    program = Program()
    program.require_architecture(architecture.audit, refuse())
    if architecture.x32:
        program.number_bits(_X32_BIT, refuse())
    program.numbers_above(NEWEST, refuse(errno.ENOSYS))
    return program


def _names(text: str) -> list[str]:
    return " ".join(line for line in text.splitlines() if not line.startswith("#")).split()


def _deny(program: Program, architecture: Architecture, names: str) -> None:
    for name in _names(names):
        number = architecture.numbers.get(name)
        if number is not None:
            program.call(number, refuse())


def _finish_clone(program: Program, architecture: Architecture, *, mask: int, wanted: int) -> None:
    # ENOSYS makes the C library fall back from clone3, whose flags a filter cannot read, to clone.
    program.call(architecture.numbers["clone3"], refuse(errno.ENOSYS))
    program.call_unless_masked(architecture.numbers["clone"], 0, mask, wanted, refuse())
