package sidecar

import "nomad-driver-connect/process"

// countOOMKills remembers what the kernel has done in the cgroup before the program
// is started there.
func (s *Sidecar) countOOMKills() {
	s.oomKills.Store(s.spec.Run.Cgroup.OOMKills())
	if !s.spec.Run.Cgroup.Exists() {
		s.Log.Warn("the task has no cgroup, so nothing limits what it uses", "proxy", s.place.ID)
	}
}

// explain adds to an end that nobody asked for whether it was for want of
// memory. What was told of one generation is not told of another.
func (s *Sidecar) explain(exit process.Exit) process.Exit {
	exit = s.spec.Run.Cgroup.Explain(exit, s.oomKills.Load())
	if exit.OOMKilled {
		s.oomKills.Store(s.spec.Run.Cgroup.OOMKills())
	}
	return exit
}

// Usage is what the sidecar uses of the machine: all of its cgroup where there
// is one, else its processes. The error says that the program has ended.
func (s *Sidecar) Usage() (process.Usage, error) {
	running := s.running.Load()
	usage, err := running.current.proc.Usage()
	if err != nil {
		return usage, err
	}
	if ofGroup, err := s.spec.Run.Cgroup.Usage(); err == nil {
		return ofGroup, nil
	}
	for _, old := range running.leaving {
		if u, err := old.proc.Usage(); err == nil { // else it has just left
			usage = usage.Plus(u)
		}
	}
	return usage, nil
}
