package sidecar

import "time"

// Timing is how often a life looks, and how long it waits. Every clock has
// jitter.
type Timing struct {
	Request time.Duration // one question to a role, but for those of a start; the program's end and a stop break it off
	News    time.Duration // of the program's end, before the user hears of it

	ProbeMin, ProbeMax time.Duration // between looks whether the app accepts connections
	ReadyMin, ReadyMax time.Duration // between looks whether a generation is ready
	RetryMin, RetryMax time.Duration // of what the mesh was not told, or not asked

	Pulse       time.Duration // between questions whether the program is alive
	PulseAnswer time.Duration // how long it may take to answer one
	PulseMisses int           // unanswered in a row, before it is given up

	Away   time.Duration // between looks whether a proxy that is gone from the mesh is wanted
	Files  time.Duration // between looks at the node's files: token, CA, binary
	Config time.Duration // from a change in the mesh to the look whether what runs is outdated
	Net    time.Duration // between such looks without a change, should one have been missed

	FailedMax time.Duration // between hot restarts that fail
	Relapse   time.Duration // after a crash, within which another one ends the task

	Keep    time.Duration // from the start of this program to the taking of what an older one listens on
	Silence time.Duration // how long the app may take to accept connections, before the user hears of it

	Drain   time.Duration // between counts of what is open
	Leave   time.Duration // what a generation that is told to end may take
	StandIn time.Duration // how long a successor may have something to say to the one before
	End     time.Duration // far longer than a process that was killed takes to be gone

	Patience time.Duration // how long something may fail before the user hears of it
}

// Usual is the timing outside of tests.
func Usual() Timing {
	return Timing{
		Request:     3 * time.Second, // a thousand may ask at the same moment
		News:        time.Second,
		ProbeMin:    10 * time.Millisecond,
		ProbeMax:    250 * time.Millisecond,
		ReadyMin:    5 * time.Millisecond,
		ReadyMax:    100 * time.Millisecond,
		RetryMin:    200 * time.Millisecond,
		RetryMax:    3 * time.Second,
		Pulse:       4 * time.Second,
		PulseAnswer: 1500 * time.Millisecond,
		PulseMisses: 3,
		Away:        time.Second,
		Files:       5 * time.Second,
		Config:      5 * time.Second,
		Net:         5 * time.Minute,
		FailedMax:   10 * time.Minute,
		Relapse:     time.Minute,
		Keep:        3 * time.Second,
		Silence:     5 * time.Second,
		Drain:       time.Second,
		Leave:       5 * time.Second,
		StandIn:     30 * time.Second,
		End:         5 * time.Second,
		Patience:    15 * time.Second,
	}
}
