package sidecar

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/process"
)

type stopRequest struct {
	signal   syscall.Signal
	deadline time.Time
}

// Stop withdraws the registration, lets the connections from peers come to
// their end, then ends Envoy with the signal, and with SIGKILL of all its
// processes when the timeout has passed. It returns when Envoy is gone.
func (s *Sidecar) Stop(sig syscall.Signal, timeout time.Duration) {
	req := stopRequest{signal: sig, deadline: time.Now().Add(timeout)}
	select {
	case s.stop <- req:
	case <-s.done:
	}
	<-s.done
}

// Destroy leaves nothing behind, whatever state the sidecar is in.
func (s *Sidecar) Destroy(ctx context.Context) error {
	s.Stop(syscall.SIGKILL, consul.RequestTimeout)
	err := s.undo.run(ctx)
	s.consul.Close()
	return err
}

// crashed tells Consul and the user of an end that nobody asked for.
func (s *Sidecar) crashed(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	exit := s.explain(s.current().proc.Exit())
	sentence := "Envoy " + exit.String()
	if err := s.registrar.sayCrashed(ctx, sentence); err != nil {
		s.log.Warn("could not tell Consul of the crash", "proxy", s.proxyID(), "error", err)
	}
	if err := s.kill(ctx); err != nil { // older generations
		s.log.Error("could not kill what is left of Envoy", "proxy", s.proxyID(), "error", err)
	}
	s.emit(sentence)
	s.publish(Exited, exit)
}

// shutDown withdraws, drains, then ends Envoy. A Consul that does not answer
// takes no more than half of the time.
func (s *Sidecar) shutDown(ctx context.Context, req stopRequest) {
	withdrawing, cancel := context.WithTimeout(ctx, time.Until(req.deadline)/2)
	registered, withdrawn := s.registrar.withdraw(withdrawing)
	cancel()
	s.publish(Draining, process.Exit{})
	if req.signal != syscall.SIGKILL { // Destroy is in no mood to wait
		s.drain(ctx, drainUntil(time.Now(), req.deadline, s.spec.DrainTimeout), registered)
	}
	exit := s.end(ctx, req)
	if withdrawn == nil {
		s.emit("Stopped: " + s.registrar.withdrawn() + "Envoy " + exit.String())
	} else {
		s.emit(fmt.Sprintf("Stopped: Envoy %s; could not withdraw it: %v", exit, withdrawn))
	}
	s.publish(Exited, exit)
}

// end signals all generations, and kills what has not ended in time.
func (s *Sidecar) end(ctx context.Context, req stopRequest) process.Exit {
	running := s.running.Load().all()
	for _, g := range running {
		if err := g.proc.Signal(req.signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			s.log.Warn("could not signal Envoy", "signal", req.signal, "pid", g.proc.ID.PID, "error", err)
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
			s.log.Error("could not kill Envoy", "proxy", s.proxyID(), "error", err)
		}
		break
	}
	return s.current().proc.Exit()
}
