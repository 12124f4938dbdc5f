package sidecar

import "nomad-driver-connect/process"

// countOOMKills remembers what the kernel has done in the cgroup before the program
// is started there.
func (s *Sidecar) countOOMKills() {
	s.oomKills.Store(s.spec.Run.Cgroup.OOMKills())
	if !s.spec.Run.Cgroup.Exists() {
		s.Log.Warn("the task has no cgroup, so nothing limits what it uses", "proxy", s.place().ID)
	}
}

// explained is how a process has ended.
type explained struct {
	process.Identity
	process.Exit
}

// explain adds to the end of a generation that nobody asked for whether it was for want
// of memory. What was told of one is not told of another.
func (s *Sidecar) explain(g generation) process.Exit {
	if known := s.explained.Load(); known != nil && known.Identity == g.proc.ID {
		return known.Exit
	}
	exit := s.spec.Run.Cgroup.Explain(g.proc.Exit(), s.oomKills.Load())
	if exit.OOMKilled {
		s.oomKills.Store(s.spec.Run.Cgroup.OOMKills())
	}
	s.explained.Store(&explained{g.proc.ID, exit})
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

// hasRoom tells whether the memory of the task is enough for one generation more, by
// what those that run use. Where it is not limited it is.
func (s *Sidecar) hasRoom() bool {
	limit := s.spec.Run.Cgroup.Limits.Memory
	usage, err := s.spec.Run.Cgroup.Usage()
	if limit <= 0 || err != nil || usage.Group == nil {
		return true
	}
	used := int64(usage.Group.Memory - min(usage.Group.Cache, usage.Group.Memory)) // what is cached gives way
	return used+used/int64(len(s.running.Load().all())) <= limit
}
