"""From the kernel's messages to the sandboxes that they are about. The texts are those of Linux 6.18."""

from __future__ import annotations

import pytest

from hereabouts.supervisor.diagnosis import Case, Ended, Killed, explain_end
from hereabouts.supervisor.kernel import KernelLog

OWN_LIMIT = b"""\
4,26440,34066549966,-;python3 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=200
6,26467,34066550095,-;memory: usage 262144kB, limit 262144kB, failcnt 35
6,26517,34066550143,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=7-1-a,mems_allowed=0,\
oom_memcg=/hereabouts-00ab/7-1-a,task_memcg=/hereabouts-00ab/7-1-a,task=python3,pid=707,uid=700003
3,26518,34066550154,-;Memory cgroup out of memory: Killed process 707 (python3) total-vm:1146988kB, anon-rss:251248kB, \
file-rss:9476kB, shmem-rss:0kB, UID:700003 pgtables:592kB oom_score_adj:200
"""
ALONE = OWN_LIMIT.splitlines()[-1]
"""What is left of it when the kernel kills so many that it leaves out the rest."""
MACHINE = b"""\
6,801,70066550143,-;oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,\
task_memcg=/hereabouts-00ab/7-1-a,task=python3,pid=707,uid=700003
3,802,70066550154,-;Out of memory: Killed process 707 (python3) total-vm:1146988kB, anon-rss:251248kB, \
file-rss:9476kB, shmem-rss:0kB, UID:700003 pgtables:592kB oom_score_adj:200
"""
ALL_SANDBOXES = (
    b"""\
6,26467,34066550095,-;memory: usage 4194304kB, limit 4194304kB, failcnt 9
"""
    + OWN_LIMIT.splitlines()[2].replace(b"oom_memcg=/hereabouts-00ab/7-1-a", b"oom_memcg=/hereabouts-00ab")
    + b"\n"
    + ALONE
)
SOMEBODY_ELSES = b"""\
6,801,70066550143,-;oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,\
task_memcg=/user.slice/user-1000.slice/session-3.scope,task=cc1plus,pid=707,uid=1000
3,802,70066550154,-;Out of memory: Killed process 707 (cc1plus) total-vm:1146988kB, anon-rss:251248kB, \
file-rss:9476kB, shmem-rss:0kB, UID:1000 pgtables:592kB oom_score_adj:0
"""
REJECTED = b"6,5,5,-;cgroup: fork rejected by pids controller in /hereabouts-00ab/8-1-b"


def told(*messages: bytes, now: float = 100.0) -> KernelLog:
    """A log that was told these messages at that time."""
    log = KernelLog("00ab")
    for message in messages:
        for line in message.splitlines():
            log.take(line, now)
    return log


def sentence(killed: Killed | None) -> str:
    return explain_end(Ended(signal=9, killed=killed), Case("x", memory_mb=256), served=True)


def test_a_sandbox_over_its_own_limit() -> None:
    log = told(OWN_LIMIT)
    killed = log.killed("7-1-a", 707, 90.0)
    assert killed == Killed(256, 256, "python3", 245)
    assert log.killed("7-1-a", 707, 90.0) is None
    assert "more than its 256 MB. It used 256 MB of 256 MB, python3 alone 245 MB. Start fewer" in sentence(killed)


@pytest.mark.parametrize("messages", [MACHINE, ALL_SANDBOXES], ids=["the machine", "a group with all sandboxes"])
def test_a_machine_that_is_full(messages: bytes) -> None:
    killed = told(messages).killed("7-1-a", 707, 90.0)
    assert killed == Killed(program="python3", program_mb=245, machine=True)
    assert sentence(killed) == (
        "It was killed because the machine ran out of memory, not for more than its own 256 MB. The kernel chose "
        "python3, which used 245 MB. Tell the operator; what uses less is chosen less."
    )


def test_the_process_alone_is_known_by_its_number() -> None:
    log = told(ALONE)
    assert log.killed("7-1-a", 708, 90.0) is None
    assert log.killed("7-1-a", 707, 90.0) == Killed(program="python3", program_mb=245)
    full = told(MACHINE.splitlines()[-1]).killed("7-1-a", 707, 90.0)
    assert full == Killed(program="python3", program_mb=245, machine=True)


@pytest.mark.parametrize(
    "messages",
    [SOMEBODY_ELSES, OWN_LIMIT.replace(b"hereabouts-00ab", b"hereabouts-00cd")],
    ids=["other software's", "another platform's"],
)
def test_somebody_elses_process_is_nobodys_here_though_its_number_is_used_again(messages: bytes) -> None:
    log = told(messages)
    assert log.killed("7-1-a", 707, 0.0) is None
    log.take(ALONE, 101.0)  # and the next message is for itself again
    assert log.killed("7-1-a", 707, 0.0) == Killed(program="python3", program_mb=245)


@pytest.mark.parametrize("messages", [OWN_LIMIT, ALONE])
def test_what_was_long_before_is_no_cause(messages: bytes) -> None:
    log = told(messages)
    assert log.killed("7-1-a", 707, 100.5) is None
    assert log.killed("7-1-a", 707, 90.0) is None


def test_a_refused_process_counts_for_a_while() -> None:
    log = told(REJECTED, REJECTED.replace(b"00ab/8-1-b", b"00cd/9-1-c"))
    assert [log.rejected(name, 90.0) for name in ("7-1-a", "8-1-b", "9-1-c")] == [False, True, False]
    assert log.rejected("8-1-b", 90.0)
    assert not log.rejected("8-1-b", 100.5)
    log.forget("8-1-b")
    assert not log.rejected("8-1-b", 90.0)
