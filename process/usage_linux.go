package process

import (
	"os"
	"time"
)

// clockTick is the unit of CPU time in /proc: USER_HZ, 100 on every Linux.
const clockTick = time.Second / 100

// Usage is what a process uses of the machine.
type Usage struct {
	User, System time.Duration // CPU time since it started
	RSS          uint64        // bytes
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
	return Usage{
		User:   time.Duration(st.utime) * clockTick,
		System: time.Duration(st.stime) * clockTick,
		RSS:    st.rss * uint64(os.Getpagesize()),
	}, nil
}

// Plus is the usage of both.
func (u Usage) Plus(other Usage) Usage {
	return Usage{User: u.User + other.User, System: u.System + other.System, RSS: u.RSS + other.RSS}
}
