package consul

// A restart of the agent is nothing to Envoys as long as it tells them the same
// as before. In two cases it does not.
const (
	// A server that has no raft snapshot begins with an empty state. The
	// discovery chains of upstreams cannot be compiled from that, and are tried
	// again only after some seconds; but when the leader has signed certificates,
	// Envoys are sent what there is: no listener for any upstream. (Seen in Consul
	// 1.22.)
	noSnapshotLoss = "a restart of this Consul server will cut off the upstreams of sidecars for some seconds, since it has not taken a raft snapshot yet (it does after 16384 changes); run `consul snapshot save` once"

	// An agent that leaves takes its node out of the catalog.
	leavingLoss = "a restart of this Consul agent will cut off the sidecars of this node for some seconds, since it leaves the datacenter when it is ended; set leave_on_terminate = false in its configuration"
)

// restartLoss says what traffic loses when the agent is restarted, and how that
// is prevented; nothing when it loses nothing.
func (s Self) restartLoss() string {
	switch {
	case s.DebugConfig.DevMode: // keeps nothing, and nobody expects it to
		return ""
	case s.Config.Server && s.Stats.Raft.LastSnapshotIndex == "0":
		return noSnapshotLoss
	case !s.Config.Server && s.DebugConfig.LeaveOnTerm:
		return leavingLoss
	}
	return ""
}
