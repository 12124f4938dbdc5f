package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/hashicorp/consul/api"
)

// ask runs one request that changes nothing, and gives its answer.
func ask[T any](ctx context.Context, c *Client, request func(*api.QueryOptions) (T, error)) (T, error) {
	return answerOf(request, func(request func(*api.QueryOptions) error) error { return c.withToken(ctx, nil, request) })
}

// askAs is ask with a certain token, for which there is no other in its place.
func askAs[T any](ctx context.Context, c *Client, token string, request func(*api.QueryOptions) (T, error)) (T, error) {
	return answerOf(request, func(request func(*api.QueryOptions) error) error {
		return c.carryOut(ctx, nil, func(q *api.QueryOptions) error {
			q.Token = token
			return request(q)
		})
	})
}

// answerOf gives the answer of a request that is run. When the caller has given up, a
// late answer is dropped.
func answerOf[T any](request func(*api.QueryOptions) (T, error), run func(func(*api.QueryOptions) error) error) (T, error) {
	answers := make(chan T, 2) // it may be run twice
	err := run(func(q *api.QueryOptions) error {
		answer, err := request(q)
		if err == nil {
			answers <- answer
		}
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return <-answers, nil
}

// tell runs one request that changes something, in its turn: what was begun before
// and given up by its caller is through, so that the last word holds.
func (c *Client) tell(ctx context.Context, request func(*api.QueryOptions) error) error {
	return c.withToken(ctx, c.turn, request)
}

// withToken tries a request again whose token Consul does not know, when another
// token lies there by now. Others do not wait while a file of the job is read.
func (c *Client) withToken(ctx context.Context, turn chan struct{}, request func(*api.QueryOptions) error) error {
	used := "" // the request may choose
	err := c.carryOut(ctx, turn, func(q *api.QueryOptions) error {
		defer func() { used = q.Token }()
		return request(q)
	})
	if !tokenUnknown(err) {
		return err
	}
	if c.keeper != nil {
		c.keeper.Refused(used)
	}
	if c.read != nil && c.renewWithin(ctx) {
		err = c.carryOut(ctx, turn, request)
	}
	return err
}

// carryOut waits until a request may begin, and then for its end. Both end with
// ctx, but a request that has begun is carried through within the client's timeout:
// to break it off would close its connection while the agent works on it still, and
// a thousand sidecars that begin anew would have more than the agent allows.
func (c *Client) carryOut(ctx context.Context, turn chan struct{}, request func(*api.QueryOptions) error) error {
	release, err := begin(ctx, turn, c.slots)
	if err != nil {
		return err
	}
	result := make(chan error, 1)
	go func() {
		defer release()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
		defer cancel()
		result <- request((&api.QueryOptions{Token: c.Tokens().Task}).WithContext(ctx))
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin takes a place in each of the channels, nil for none needed.
func begin(ctx context.Context, places ...chan struct{}) (release func(), err error) {
	var taken []chan struct{}
	release = func() {
		for _, place := range taken {
			<-place
		}
	}
	for _, place := range places {
		if place == nil {
			continue
		}
		select {
		case place <- struct{}{}:
			taken = append(taken, place)
		case <-ctx.Done():
			release()
			return nil, ctx.Err()
		}
	}
	return release, nil
}

// tokenUnknown tells Consul's answer to a token that it does not know, or no more.
func tokenUnknown(err error) bool {
	var status api.StatusError
	return errors.As(err, &status) && strings.Contains(status.Body, aclNotFound)
}

// unreachable makes a sentence of a failed request: what was tried, where,
// what came of it and what to do.
func (c *Client) unreachable(doing string, err error) error {
	return c.unanswered(doing, c.bearer(), err)
}

// unanswered is unreachable for a request with a certain token.
func (c *Client) unanswered(doing string, who bearer, err error) error {
	var status api.StatusError
	if !errors.As(err, &status) {
		return fmt.Errorf("%s: Consul does not answer at %s: %w; is the agent running, and is that its address?", doing, c.cfg.Address, rootCause(err))
	}
	if tokenUnknown(err) {
		sentence := fmt.Sprintf("%s: Consul at %s does not know the ACL token%s: %s%s", doing, c.cfg.Address, who.name, strings.TrimSpace(status.Body), who.where)
		return &DeniedError{Unknown: true, sentence: sentence}
	}
	if status.Code == http.StatusForbidden {
		why := "no ACL token is given"
		if who.given {
			why = "the ACL token" + who.name + " does not allow it"
		}
		return &DeniedError{sentence: fmt.Sprintf("%s: Consul at %s refuses: %s (%s); a token with service:write on the service and its sidecar is needed", doing, c.cfg.Address, strings.TrimSpace(status.Body), why)}
	}
	return fmt.Errorf("%s: Consul at %s answers %d: %s", doing, c.cfg.Address, status.Code, strings.TrimSpace(status.Body))
}

// DeniedError is Consul's refusal for want of an ACL token, or of one with more rights.
type DeniedError struct {
	Unknown  bool // Consul does not know the token
	sentence string
}

func (e *DeniedError) Error() string { return e.sentence }

// rootCause drops the request's URL, which is long and says nothing to a user.
func rootCause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func isStatus(err error, code int) bool {
	var status api.StatusError
	return errors.As(err, &status) && status.Code == code
}
