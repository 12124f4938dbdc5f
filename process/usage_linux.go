package process

import (
	"os"
	"time"
)

// clockTick is the unit of CPU time in /proc: USER_HZ, 100 on every Linux.
const clockTick = time.Second / 100

// Usage is what is used of the machine.
type Usage struct {
	User, System time.Duration // CPU time since the beginning
	RSS          uint64        // bytes of memory; of a cgroup without mapped files

	Group *GroupUsage // what is only known of a cgroup; nil for a process
}

// GroupUsage is what the kernel tells of a cgroup besides. Memory is in bytes.
type GroupUsage struct {
	ThrottledPeriods uint64
	Throttled        time.Duration

	Memory, MaxMemory   uint64 // all that is accounted, and the most there ever was
	Cache, Swap, Kernel uint64 // parts of it
}

// Usage reads it from /proc.
func (p *Process) Usage() (Usage, error) {
	st, err := readStat(p.ID.PID)
	if err != nil {
		return Usage{}, err
	}
	if st.startTime != p.ID.StartTime {
		return Usage{}, os.ErrProcessDone
	}
	return st.usage(), nil
}

func (st procStat) usage() Usage {
	return Usage{
		User:   time.Duration(st.utime) * clockTick,
		System: time.Duration(st.stime) * clockTick,
		RSS:    st.rss * uint64(os.Getpagesize()),
	}
}

// Plus is the usage of both.
func (u Usage) Plus(other Usage) Usage {
	return Usage{User: u.User + other.User, System: u.System + other.System, RSS: u.RSS + other.RSS}
}
