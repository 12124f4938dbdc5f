package driver

import (
	"fmt"
	"math/rand/v2"
	"time"

	"nomad-driver-connect/consul"
)

// held is a token and where it comes from.
type held struct {
	source tokenSource
	rank   int // of the source
	token  consul.Token
	known  bool // what Consul knows of it was read
	warned bool // that it ends soon

	early time.Duration // before its end it is to give way to another
}

// endsSoon is the longest time before its end that a token gives way to another.
const endsSoon = 10 * time.Minute

// early is about a third of a token's life, and not the same for those that were given at
// the same time: their Envoys would all be hot restarted in one beat.
func early(life time.Duration) time.Duration {
	if life <= 0 {
		return 0
	}
	share := min(life/3, endsSoon)
	return share + rand.N(share/2+1)
}

func (h held) String() string {
	source := "of " + h.source.name
	if h.source.name == "" {
		return "that is not given"
	}
	if h.token.Accessor == "" {
		return source
	}
	return h.token.Accessor + " " + source
}

// lasts says until when.
func (h held) lasts() string {
	if h.token.Expires.IsZero() {
		return ""
	}
	return fmt.Sprintf(", which ends in %s", time.Until(h.token.Expires).Round(time.Second))
}

// isDue tells that a token is to give way to another.
func (h held) isDue() bool {
	return !h.token.Expires.IsZero() && time.Until(h.token.Expires) < h.early
}

func (h held) hasEnded() bool {
	return !h.token.Expires.IsZero() && time.Now().After(h.token.Expires)
}
