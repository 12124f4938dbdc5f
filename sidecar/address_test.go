package sidecar_test

import (
	"fmt"
	"os"
	"sync/atomic"
)

// counted makes addresses and ports of this program different.
var counted atomic.Uint32

// ownAddress is one of the machine's own that no other test uses. On the one that
// all use, a port that is free now may be anybody's before it is used.
func ownAddress() string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 128|pid>>8&127, pid&255, counted.Add(1)%250+1)
}

// freePort is one of an address that nobody else uses. It is not tried out: what
// is started at the moment would inherit the socket, and hold it for a while.
func freePort() int { return 10000 + int(counted.Add(1)) }
