package sidecar

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/hashicorp/consul/api"

	"nomad-driver-connect/process"
)

const (
	probeInterval = 50 * time.Millisecond
	dialTimeout   = 500 * time.Millisecond
	retryInterval = time.Second

	// gateTimeout bounds what is asked of the local agent while Envoy is
	// supervised: neither a stop nor the news of a crash waits longer for it.
	gateTimeout = time.Second
)

// supervise owns the sidecar from the moment Envoy is ready until it is gone.
func (s *Sidecar) supervise(ctx context.Context) {
	defer close(s.done)
	inCatalog := s.watch.Follow(s.proxyID())
	defer s.watch.Unfollow(s.proxyID())
	lost := time.NewTicker(restoreInterval)
	lost.Stop()
	defer lost.Stop()
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	if s.parent != nil {
		s.local.network, s.local.address = s.localService()
	}
	beat := time.NewTicker(readyInterval)
	defer beat.Stop()
	pulse := time.NewTicker(pulseInterval)
	defer pulse.Stop()
	tried, open, missed := false, false, 0
	for {
		select {
		case <-s.proc.Done():
			s.crashed(ctx)
			return
		case req := <-s.stop:
			s.shutDown(ctx, req)
			return
		case <-pulse.C:
			missed = s.checkPulse(ctx, missed)
		case <-beat.C:
			if open {
				s.stayReady(ctx)
			}
		case present := <-inCatalog:
			if s.heard(ctx, present) {
				lost.Reset(restoreInterval)
			}
		case <-lost.C:
			if s.restore(ctx, open) {
				lost.Stop()
			}
		case <-tick.C:
			if !s.localServiceAnswers(ctx) {
				continue
			}
			if open = s.tryGate(ctx, tried); open {
				tick.Stop()
			} else {
				tick.Reset(retryInterval)
			}
			tried = true
		}
	}
}

// localServiceAnswers says whether the app accepts a connection. Without a
// parent there is no app to wait for.
func (s *Sidecar) localServiceAnswers(ctx context.Context) bool {
	if s.parent == nil {
		return true
	}
	network, address := s.local.network, s.local.address
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// localService is where the app accepts connections. A relative socket's path
// is relative to Envoy's directory.
func (s *Sidecar) localService() (network, address string) {
	proxy := registration(s.spec, s.parent, process.Identity{}, true).Proxy
	if path := proxy.LocalServiceSocketPath; filepath.IsAbs(path) {
		return "unix", path
	} else if path != "" {
		return "unix", fmt.Sprintf("/proc/%d/cwd/%s", s.proc.ID.PID, path)
	}
	return "tcp", net.JoinHostPort(proxy.LocalServiceAddress, strconv.Itoa(proxy.LocalServicePort))
}

// tryGate opens the gate, or tells once why it could not.
func (s *Sidecar) tryGate(ctx context.Context, tried bool) (open bool) {
	err := s.openGate(ctx)
	if err != nil && !tried {
		s.emit("Could not open the sidecar to its peers, will try again: " + err.Error())
	}
	return err == nil
}

// openGate lets peers in, unless the registration was withdrawn meanwhile.
func (s *Sidecar) openGate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	current, err := s.consul.Service(ctx, s.proxyID())
	if err != nil {
		return err
	}
	if current == nil {
		s.log.Info("the sidecar was withdrawn from Consul before it served", "proxy", s.proxyID())
		return nil
	}
	if err := s.tell(ctx, registration(s.spec, s.parent, s.proc.ID, true)); err != nil {
		return err
	}
	if err := s.sayReady(ctx); err != nil {
		return err
	}
	s.publish(Serving, process.Exit{})
	switch {
	case s.attached:
		s.emit(fmt.Sprintf("Found Envoy again (pid %d), serving", s.proc.ID.PID))
	case s.parent != nil:
		s.emit("Serving: the local service accepts connections at " + s.local.address)
	}
	return nil
}

// sayReady makes the ready check passing, and keeps it so for readyTTL.
func (s *Sidecar) sayReady(ctx context.Context) error {
	return s.consul.SetStatus(ctx, readyCheckID(s.proxyID()), api.HealthPassing, "Envoy is ready, and the local service accepts connections")
}

func (s *Sidecar) stayReady(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	if err := s.sayReady(ctx); err != nil { // there are some more within the TTL
		s.log.Warn("could not tell Consul that the sidecar is still ready", "proxy", s.proxyID(), "error", err)
	}
}

// crashed tells Consul and the user of an end that nobody asked for.
func (s *Sidecar) crashed(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	exit := s.proc.Exit()
	sentence := "Envoy " + exit.String()
	if err := s.consul.SetStatus(ctx, readyCheckID(s.proxyID()), api.HealthCritical, sentence); err != nil {
		s.log.Warn("could not tell Consul of the crash", "proxy", s.proxyID(), "error", err)
	}
	s.emit(sentence)
	s.publish(Exited, exit)
}

// shutDown withdraws, drains, then ends Envoy. A Consul that does not answer
// takes no more than half of the time.
func (s *Sidecar) shutDown(ctx context.Context, req stopRequest) {
	withdrawing, cancel := context.WithTimeout(ctx, time.Until(req.deadline)/2)
	registered, withdrawn := s.consul.Deregister(withdrawing, s.proxyID())
	cancel()
	s.publish(Draining, process.Exit{})
	if req.signal != syscall.SIGKILL { // Destroy is in no mood to wait
		s.drain(ctx, drainUntil(time.Now(), req.deadline), registered)
	}
	if err := s.proc.Signal(req.signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.log.Warn("could not signal Envoy", "signal", req.signal, "error", err)
	}
	expired := time.NewTimer(time.Until(req.deadline))
	defer expired.Stop()
	select {
	case <-s.proc.Done():
	case <-expired.C:
		if err := s.kill(ctx); err != nil {
			s.log.Error("could not kill Envoy", "pid", s.proc.ID.PID, "error", err)
		}
	}
	exit := s.proc.Exit()
	if withdrawn == nil {
		s.emit("Stopped: withdrawn from Consul, Envoy " + exit.String())
	} else {
		s.emit(fmt.Sprintf("Stopped: Envoy %s; could not withdraw it: %v", exit, withdrawn))
	}
	s.publish(Exited, exit)
}

// withdraw, kill and removeRunDir are the undo steps; each may run again.

func (s *Sidecar) withdraw(ctx context.Context) error {
	_, err := s.consul.Deregister(ctx, s.proxyID())
	return err
}

func (s *Sidecar) kill(context.Context) error {
	err := s.proc.KillGroup()
	if err == nil {
		<-s.proc.Done()
	}
	return err
}

func (s *Sidecar) removeRunDir(context.Context) error {
	return os.RemoveAll(s.spec.Run.Dir)
}
