package sidecar

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"nomad-driver-connect/pace"
	"nomad-driver-connect/process"
)

type stopRequest struct {
	signal   syscall.Signal
	deadline time.Time
}

// destroyTimeout bounds what Destroy asks of others.
const destroyTimeout = 5 * time.Second

// Stop withdraws the registration, lets the connections from peers come to
// their end, then ends the program with the signal, and with SIGKILL of all its
// processes when the timeout has passed. It returns when nothing is left to do.
func (s *Sidecar) Stop(sig syscall.Signal, timeout time.Duration) {
	req := stopRequest{signal: sig, deadline: time.Now().Add(timeout)}
	s.askStop()
	select {
	case s.stop <- req:
	case <-s.over:
	}
	<-s.over
}

// Destroy leaves nothing behind, whatever state the sidecar is in. It may be
// repeated when it fails.
func (s *Sidecar) Destroy(ctx context.Context) error {
	s.Stop(syscall.SIGKILL, destroyTimeout)
	return s.undo.run(ctx)
}

// isOver tells the mesh and the user of an end that nobody asked for: the mesh
// again and again, until it knows or the sidecar is destroyed. failure is why the
// program was ended; empty when it has ended by itself.
func (s *supervisor) isOver(ctx context.Context, exit process.Exit, sentence, failure string) {
	s.dropSockets()
	s.crash.why, s.crash.shut = sentence, true
	s.waits = sentence
	err := s.tellEnd(ctx)
	if err := s.kill(ctx); err != nil { // older generations
		s.Log.Error("could not kill what is left of a proxy", "proxy", s.place().ID, "error", err)
	}
	s.Emit(sentence)
	s.publish(Exited, exit)
	ended := s.Status()
	ended.Failure = failure
	s.status.Store(&ended)
	close(s.done)
	for err != nil && !s.away {
		s.telling.note(s.Sidecar, err, "tell the mesh of the end")
		select {
		case <-s.unstopped.Done():
			return
		case <-time.After(s.retry.Next()):
		}
		err = s.tellEnd(ctx)
	}
}

// tellEnd tells the mesh that peers are not to come any more.
func (s *supervisor) tellEnd(ctx context.Context) error {
	if s.away {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timing.News)
	defer cancel()
	_, err := s.member.Tell(ctx, s.standing())
	return err
}

// shutDown withdraws, drains, then ends the program. A mesh that does not answer
// takes no more than half of the time.
func (s *supervisor) shutDown(ctx context.Context, req stopRequest) {
	withdrawing, cancel := context.WithTimeout(ctx, time.Until(req.deadline)/2)
	farewell, failed := s.withdraw(withdrawing)
	cancel()
	s.publish(Draining, process.Exit{})
	s.dropSockets()                    // what Envoy refuses is to be refused
	if req.signal != syscall.SIGKILL { // Destroy is in no mood to wait
		s.drain(ctx, drainUntil(time.Now(), req.deadline, s.spec.DrainTimeout), farewell.Heard)
	}
	exit := s.terminate(ctx, req)
	sentence := "Stopped: "
	if failed == nil && farewell.Said != "" {
		sentence += farewell.Said + ", "
	}
	sentence += s.program.Name() + " " + exit.String()
	if failed != nil {
		sentence += "; could not withdraw it: " + failed.Error()
	}
	s.Emit(sentence)
	s.publish(Exited, exit)
	close(s.done)
}

// withdraw leaves the mesh, and tries again for a moment when that fails. Destroy tries
// once more, and so does the driver after it.
func (s *supervisor) withdraw(ctx context.Context) (Farewell, error) {
	for began := time.Now(); ; {
		farewell, err := s.member.Leave(ctx)
		if err == nil || time.Since(began) > s.Timing.News || pace.Wait(ctx, s.retry.Next()) != nil {
			return farewell, err
		}
	}
}

// terminate signals all generations, and kills what has not ended in time.
func (s *Sidecar) terminate(ctx context.Context, req stopRequest) process.Exit {
	running := s.running.Load().all()
	for _, g := range running {
		if err := g.proc.Signal(req.signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			s.Log.Warn("could not signal the program", "signal", req.signal, "pid", g.proc.ID.PID, "error", err)
		}
	}
	expired := time.NewTimer(time.Until(req.deadline))
	defer expired.Stop()
	for _, g := range running {
		select {
		case <-g.proc.Done():
			continue
		case <-expired.C:
		}
		if err := s.kill(ctx); err != nil {
			s.Log.Error("could not kill the program", "proxy", s.place().ID, "error", err)
		}
		break
	}
	select {
	case <-s.current().proc.Done():
		return s.current().proc.Exit()
	default:
		return process.Exit{Stuck: true, At: time.Now()}
	}
}
