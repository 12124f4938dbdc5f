package sidecar

import (
	"fmt"
	"time"
)

// trouble is something that fails again and again. The user hears of it once when
// it has lasted, and of its end; what passes before is nobody's business.
type trouble struct {
	since time.Time // zero: there is none
	said  bool      // the user has heard
}

// note takes the result of another try to do something.
func (t *trouble) note(s *Sidecar, err error, doing string) {
	if err == nil {
		if t.said {
			s.Emit(fmt.Sprintf("Could %s again, after %s", doing, time.Since(t.since).Round(time.Second)))
		}
		*t = trouble{}
		return
	}
	s.Log.Debug("could not "+doing+", will try again", "proxy", s.place().ID, "error", err)
	if t.since.IsZero() {
		t.since = time.Now()
	}
	if !t.said && time.Since(t.since) >= s.Timing.Patience {
		t.said = true
		s.Emit(fmt.Sprintf("Could not %s since %s, and will try again; it serves on with what it has: %v", doing, t.since.Format(time.TimeOnly), err))
	}
}
