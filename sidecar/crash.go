package sidecar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nomad-driver-connect/pace"
	"nomad-driver-connect/process"
)

// A crash refuses nobody, and is not Nomad's business the first time: the next
// generation is started at once, in the same task. The driver has kept the listening
// sockets open (sockets.go), so connections made meanwhile wait in the kernel's queue. A
// stand-in hands the sockets over, as the parent does in a hot restart. A second crash soon after ends the task, and so does a generation that
// does not come up.

// crash is one that is being mended, and when it was.
type crash struct {
	at       time.Time // of the latest
	why      string    // as a sentence; empty when it is mended
	exit     process.Exit
	shut     bool         // peers are kept away meanwhile
	told     bool         // the mesh was told of it
	prepared chan attempt // of what is found out about the next generation; nil when nothing is
}

// isComing tells that a current generation is waited for, which nobody can ask yet.
func (s *supervisor) isComing() bool { return s.crash.prepared != nil || s.warming != nil }

// hasCrashed begins to mend a crash, unless a hot restart was through when the
// current generation went. It tells whether all is over.
func (s *supervisor) hasCrashed(ctx context.Context) (over bool) {
	gone := s.current()
	s.abandon(ctx)
	if s.current().epoch != gone.epoch {
		return false
	}
	exit := s.explain(gone)
	sentence := s.program.Name() + " " + exit.String()
	switch {
	case gone.started.IsZero(): // while nobody watched
		s.isOver(ctx, exit, sentence, "")
		return true
	case !s.crash.at.IsZero() && time.Since(s.crash.at) < s.Timing.Relapse:
		s.isOver(ctx, exit, fmt.Sprintf("%s, %s after the crash before: the task ends", sentence, time.Since(s.crash.at).Round(time.Second)), "")
		return true
	}
	s.crash.exit = exit
	s.mend(ctx, gone, sentence+s.lastWords())
	return false
}

// lastWords are those of the program, as the end of a sentence.
func (s *Sidecar) lastWords() string {
	if words := s.program.LastWords(); words != "" {
		return " (its last words: " + words + ")"
	}
	return ""
}

// wordsTime is ample for what a program has written to come to its log.
const wordsTime = 300 * time.Millisecond

// awaitLastWords are those of a program that has just ended, which its log may not have
// yet.
func (s *Sidecar) awaitLastWords(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, wordsTime)
	defer cancel()
	for {
		words := s.lastWords()
		if words != "" || pace.Wait(ctx, wordsTime/10) != nil {
			return words
		}
	}
}

// mend finds out beside what the next generation is started with: that reads files of
// the job, and asks Consul, which may be in trouble. Peers may go on to come where their
// connections are kept.
func (s *supervisor) mend(ctx context.Context, gone generation, why string) {
	s.crash.at, s.crash.why, s.crash.shut, s.crash.told = time.Now(), why, len(s.kept) == 0, false
	s.missed = 0
	prepared := make(chan attempt, 1)
	s.crash.prepared = prepared
	s.standIn(ctx, gone.epoch, s.kept, 2*s.spec.ReadyTimeout+s.Timing.StandIn)
	before := s.restarts.attempting
	go func() {
		select { // one question to the program at a time
		case <-before:
			prepared <- s.prepareNext(ctx, gone.epoch+1)
		case <-ctx.Done():
		}
	}()
	meanwhile := "connections to it wait meanwhile"
	if s.crash.shut {
		meanwhile = "peers are kept away meanwhile"
	}
	s.Emit(fmt.Sprintf("%s: it is started again, %s", why, meanwhile))
	s.clocks.mend.Reset(untoldCrash)
}

// untoldCrash is how long the mesh is not told of a crash, as the start of the next
// generation goes before.
const untoldCrash = 100 * time.Millisecond

// prepareNext finds out what the next generation is started with, and tries again for as
// long as one may take to be ready.
func (s *supervisor) prepareNext(ctx context.Context, epoch int) attempt {
	ctx, cancel := context.WithTimeout(ctx, s.spec.ReadyTimeout)
	defer cancel()
	var a attempt
	passes := func(err error) bool {
		var invalid *InvalidError
		return !errors.As(err, &invalid)
	}
	_ = pace.Retry(ctx, pace.Backoff{Min: s.Timing.RetryMin / 4, Max: s.Timing.RetryMax}, passes, func() error {
		a.next, a.err = s.program.Next(ctx, s.place(), epoch)
		return a.err
	})
	return a
}

// startAgain starts the next generation after a crash. It tells whether all is over.
func (s *supervisor) startAgain(ctx context.Context, a attempt) (over bool) {
	s.crash.prepared = nil
	now := s.running.Load()
	err := a.err
	var next generation
	if err == nil {
		next, err = s.launch(a.next, now.current.epoch+1)
	}
	if err != nil {
		s.isOver(ctx, s.crash.exit, fmt.Sprintf("%s, and could not be started again: %v", s.crash.why, err), "")
		return true
	}
	s.restarts.later = later{} // it has what was to be taken up
	s.running.Store(&generations{current: next, leaving: now.leaving})
	s.publish(s.Status().Phase, process.Exit{})
	s.warmUp(ctx, next, a.next)
	s.tellCrash(ctx)
	return false
}

// tellCrash tells the mesh of a crash, once.
func (s *supervisor) tellCrash(ctx context.Context) {
	if !s.crash.told {
		s.crash.told = true
		s.tell(ctx)
	}
}

// mendsTooLong keeps peers away when the next generation takes its time, and gives up
// where a job's file does not say what that is started with. It tells whether all is
// over.
func (s *supervisor) mendsTooLong(ctx context.Context) (over bool) {
	if s.crash.prepared != nil && time.Since(s.crash.at) > s.spec.ReadyTimeout {
		return s.startAgain(ctx, attempt{err: fmt.Errorf("what it is started with could not be read within %s", s.spec.ReadyTimeout)})
	}
	switch age := time.Since(s.crash.at); {
	case s.crash.why == "":
		return false
	case age < s.Timing.News:
		s.tellCrash(ctx)
		s.clocks.mend.Reset(s.Timing.News - age)
		return false
	case !s.crash.shut:
		s.crash.shut = true
		s.tell(ctx)
	}
	s.clocks.mend.Reset(s.spec.ReadyTimeout)
	return false
}

// mended says that a crash is over.
func (s *supervisor) mended(ctx context.Context, result warmed) {
	s.crash.why, s.crash.shut = "", false
	s.clocks.mend.Stop()
	g := result.generation
	s.Emit(fmt.Sprintf("%s %s serves again %d ms after the crash (generation %d, pid %d)%s", s.program.Name(), s.version(ctx),
		time.Since(s.crash.at).Milliseconds(), g.epoch, g.proc.ID.PID, result.remark))
	if s.Status().Phase == Draining { // which only the one before was told
		_ = s.leaving(ctx, true)
	}
	s.waits = s.noAnswer()
	s.clocks.app.Reset(0)
	s.tell(ctx)
	s.restartNext(ctx)
}
