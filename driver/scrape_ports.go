package driver

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"sync"

	"nomad-driver-connect/sidecar"
)

// scrapePorts are the ports of the node at which Envoys are scraped, as far as the driver
// chose them: Nomad knows nothing of them. They lie where neither Nomad nor the kernel
// takes ports by itself, so that being free and being no other sidecar's is enough. What
// runs tells its own when it is found again: nothing has to be remembered.
type scrapePorts struct {
	mu    sync.Mutex
	of    map[scrapeUse]int
	taken map[int]scrapeUse
}

// scrapeUse is what a task has a port for.
type scrapeUse struct {
	taskID string
	key    string // of the proxy's config
}

// get gives a task its port at an address: the one that it has, or else a free one.
func (s *scrapePorts) get(ctx context.Context, use scrapeUse, place, address string, among portRange) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil { // of a task that has ended, whose ports are given back
		return 0, err
	}
	if port, ok := s.of[use]; ok && s.taken[port] == use { // else two were found with one port
		return port, nil
	}
	port, err := s.search(ctx, use, place, address, among)
	if err == nil {
		s.note(use, port)
	}
	return port, err
}

// search finds a free one. It begins at a place that is the same for a task when it is
// started again.
func (s *scrapePorts) search(ctx context.Context, use scrapeUse, place, address string, among portRange) (int, error) {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(place + use.key))
	begin, size := int(hash.Sum32()), among.last-among.first+1
	err := errors.New("other sidecars have all of them")
	for i := range size {
		port := among.first + (begin+i)%size
		if _, taken := s.taken[port]; taken {
			continue
		}
		err = sidecar.CheckPortFree(ctx, "", sidecar.Port{Address: address, Number: port, Label: use.key}, "another one is tried")
		switch {
		case err == nil:
			return port, nil
		case !errors.Is(err, sidecar.ErrPortInUse): // nor is any other one to be had
			return 0, fmt.Errorf("find a port for %s: %w; correct the address, which is bind_address of the plugin's config, metrics {}, or else %s of Consul's config entry proxy-defaults", use.key, err, use.key)
		}
	}
	return 0, fmt.Errorf("find a port for %s: none from %d to %d is free at %s (%w); give the plugin's config other ports, metrics { port_min = … port_max = … }", use.key, among.first, among.last, address, err)
}

// note takes down that a task has a port, and none for the same use any more. Another that
// has it stays.
func (s *scrapePorts) note(use scrapeUse, port int) {
	if s.of == nil {
		s.of, s.taken = map[scrapeUse]int{}, map[int]scrapeUse{}
	}
	if before, ok := s.of[use]; ok && s.taken[before] == use {
		delete(s.taken, before)
	}
	s.of[use] = port
	if _, others := s.taken[port]; !others {
		s.taken[port] = use
	}
}

// found takes down what a task has that was found running.
func (s *scrapePorts) found(taskID string, listeners []sidecar.StaticListener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range listeners {
		if l.Made {
			s.note(scrapeUse{taskID, l.Key}, l.Number)
		}
	}
}

// release gives back what a task has.
func (s *scrapePorts) release(taskID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.of, func(use scrapeUse, _ int) bool { return use.taskID == taskID })
	maps.DeleteFunc(s.taken, func(_ int, use scrapeUse) bool { return use.taskID == taskID })
}
