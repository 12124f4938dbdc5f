package mesh

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/pace"
)

const (
	// granting is how long rights may take that were just given: Consul's agents
	// remember for a moment what a token may do.
	granting = 5 * time.Second

	grantingMin, grantingMax = 250 * time.Millisecond, 2 * time.Second
)

// rights are what the proxy's token has to give: the one to register it, and to have
// certificates of the service that it stands for.
func (r Registration) rights() []consul.Right {
	return []consul.Right{
		{Resource: "service", Access: "write", Segment: r.Service},
		{Resource: "service", Access: "write", Segment: r.Service + proxySuffix},
	}
}

// awaitRights waits for a moment until the token of now gives the proxy its rights, and
// says which it does not give.
func (o *Own) awaitRights(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, granting)
	defer cancel()
	return pace.Retry(ctx, pace.Backoff{Min: grantingMin, Max: grantingMax}, mayBeGranted, func() error { return o.lack(ctx) })
}

// mayBeGranted tells an error that may be over when Consul's agents have what is new.
func mayBeGranted(err error) bool {
	var denied *consul.DeniedError
	var lack *lackError
	return errors.As(err, &denied) || errors.As(err, &lack)
}

// lack says what the token of now does not give; nil for nothing.
func (o *Own) lack(ctx context.Context) error {
	lacking, err := o.Consul.Lacks(ctx, o.reg.rights()...)
	if err != nil || len(lacking) == 0 {
		return err
	}
	who := "The ACL token " + o.Consul.TokenName()
	if o.Consul.Tokens().Task == "" {
		who = "no ACL token is given, and who has none"
	}
	return &lackError{fmt.Sprintf("%s may not %s: give it service:write on %q and %q, as the service identity of %q has it (README.md, ACLs)",
		who, listed(lacking), o.reg.Service, o.reg.Service+proxySuffix, o.reg.Service)}
}

// lackError says what a token does not give.
type lackError struct{ text string }

func (e *lackError) Error() string { return e.text }

// listed gives rights as write service "web", read node "n".
func listed(rights []consul.Right) string {
	texts := make([]string, 0, len(rights))
	for _, r := range rights {
		texts = append(texts, fmt.Sprintf("%s %s %q", r.Access, r.Resource, r.Segment))
	}
	return strings.Join(texts, ", ")
}
