package sidecar

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// later is a change that is taken up with others, within a time that the operator
// sets: a mesh does not restart in one beat. It is zero for none.
type later struct {
	why   string
	at    time.Time
	never bool // before the next start
}

// spread is what the operator says.
func (s *Sidecar) spread() (within time.Duration, never bool) {
	if s.Spread == nil {
		return 0, false
	}
	return s.Spread()
}

// isDue tells whether a change that is in no hurry is taken up now.
func (s *supervisor) isDue() bool {
	if within, never := s.spread(); within == 0 && !never {
		return true
	}
	l := s.restarts.later
	return l.why != "" && !l.never && !time.Now().Before(l.at)
}

// postpone waits with a change, once for all that come until then.
func (s *supervisor) postpone(why string) {
	r := &s.restarts
	within, never := s.spread()
	if r.later.why == "" || r.later.never != never {
		r.later = later{why: why, never: never}
		if never {
			s.Emit(fmt.Sprintf("No hot restart (%s): the operator leaves that to the next start; `nomad alloc signal -s SIGHUP` does it now", why))
			return
		}
		r.later.at = time.Now().Add(rand.N(max(within, 1)))
		s.Emit(fmt.Sprintf("A hot restart is to follow at %s (%s), as the operator has such changes spread over %s; `nomad alloc signal -s SIGHUP` does it now",
			r.later.at.Format(time.TimeOnly), why, within))
	}
	if wait := time.Until(r.later.at); !never && wait < s.Timing.Net {
		r.due.Reset(max(wait, 0))
	}
}
