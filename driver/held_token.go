package driver

import (
	"fmt"
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
}

// A token is exchanged for another when a third of its life is left, but no longer
// before its end than endsSoon.
const endsSoon = 10 * time.Minute

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
	return !h.token.Expires.IsZero() && time.Until(h.token.Expires) < min(h.token.Lifetime/3, endsSoon)
}

func (h held) hasEnded() bool {
	return !h.token.Expires.IsZero() && time.Now().After(h.token.Expires)
}
