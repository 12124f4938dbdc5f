package driver

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"nomad-driver-connect/pace"
)

const (
	// gcPercent is how much garbage there may be, in percent of what is in use: the
	// plugin waits most of the time, so memory counts for more than how often
	// garbage is collected.
	gcPercent = 25

	// A start of many tasks takes memory that is not needed afterwards, and the
	// runtime gives it back little by little.
	giveBackInterval = 30 * time.Second
	giveBackLeast    = 4 << 20 // bytes
)

// SaveMemory has the program use little of it, until ctx ends.
func SaveMemory(ctx context.Context) {
	debug.SetGCPercent(gcPercent)
	go func() {
		unused := []metrics.Sample{{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}}
		for pace.Wait(ctx, pace.Jitter(giveBackInterval)) == nil {
			if metrics.Read(unused); unused[0].Value.Uint64()+unused[1].Value.Uint64() > giveBackLeast {
				debug.FreeOSMemory()
			}
		}
	}()
}
