package pace

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"
)

func TestJitter(t *testing.T) {
	t.Parallel()
	for range 1000 {
		d := Jitter(time.Second)
		must.Between(t, time.Second/2, d, 3*time.Second/2)
	}
	must.Zero(t, Jitter(0))
}

func TestBeat(t *testing.T) {
	t.Parallel()
	for range 1000 {
		now := time.Now()
		d := Beat(time.Second)
		must.Between(t, time.Second/2, d, 3*time.Second/2+beat)
		end := now.Add(d)
		must.Less(t, beat/4, end.Sub(end.Round(beat)).Abs(), must.Sprint("it ends with the others"))
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	b := Backoff{Min: 10 * time.Millisecond, Max: time.Second}
	for round := range 3 {
		for want := b.Min; want < b.Max; want *= 2 {
			must.Between(t, want/2, b.Next(), 3*want/2, must.Sprintf("round %d", round))
		}
		for range 20 {
			must.Between(t, b.Max/2, b.Next(), b.Max)
		}
		b.Reset()
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		must.NoError(t, Wait(t.Context(), time.Minute))
		must.Eq(t, time.Minute, time.Since(began))
		ended, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		must.ErrorIs(t, Wait(ended, time.Hour), context.DeadlineExceeded)
		must.Eq(t, time.Minute+time.Second, time.Since(began))
	})
}

func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		passing, final := errors.New("passing"), errors.New("final")
		passes := func(err error) bool { return errors.Is(err, passing) }
		pause := Backoff{Min: time.Second, Max: time.Second}
		for _, end := range []error{nil, final} {
			results := []error{passing, passing, end}
			err := Retry(t.Context(), pause, passes, func() (err error) {
				err, results = results[0], results[1:]
				return err
			})
			must.ErrorIs(t, err, end)
			must.SliceEmpty(t, results)
		}
		ended, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		must.ErrorIs(t, Retry(ended, pause, passes, func() error { return passing }), passing, must.Sprint("the last one, and not that of ctx"))
		must.ErrorIs(t, ended.Err(), context.DeadlineExceeded)
	})
}
