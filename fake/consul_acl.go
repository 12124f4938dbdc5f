package fake

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/hashicorp/consul/api"
)

// acls are the tokens that an agent knows, and what they may do. Consul's mutex guards
// them.
type acls struct {
	tokens     map[string]*api.ACLToken   // by their secrets; nil without ACLs
	denied     map[string]map[string]bool // by token, the services that it may neither read nor write
	identities map[string]time.Duration   // how long tokens live that are given for a JWT; 0 for ever
	logins     int
}

// KnowTokens switches ACLs on: requests with any other token are refused. What
// comes without a token is the anonymous one's, which may do everything here.
func (c *Consul) KnowTokens(tokens ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acls.tokens = map[string]*api.ACLToken{"": {AccessorID: "anonymous"}}
	for _, secret := range tokens {
		c.acls.tokens[secret] = &api.ACLToken{SecretID: secret, AccessorID: "accessor of " + secret}
	}
}

// Expire says when a token ends that was created now.
func (c *Consul) Expire(secret string, after time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acls.tokens[secret] = created(secret, after)
}

func created(secret string, life time.Duration) *api.ACLToken {
	token := &api.ACLToken{SecretID: secret, AccessorID: "accessor of " + secret, CreateTime: time.Now()}
	if life > 0 {
		end := token.CreateTime.Add(life)
		token.ExpirationTime = &end
	}
	return token
}

// Deny has a token neither read nor write services of some names.
func (c *Consul) Deny(token string, services ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.acls.denied == nil {
		c.acls.denied = map[string]map[string]bool{}
	}
	c.acls.denied[token] = map[string]bool{}
	for _, name := range services {
		c.acls.denied[token][name] = true
	}
}

// Identify has tokens given for a JWT that live so long, 0 for ever. They are called
// "login 1", "login 2" …
func (c *Consul) Identify(jwt string, life time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.acls.tokens == nil {
		c.acls.tokens = map[string]*api.ACLToken{"": {AccessorID: "anonymous"}}
	}
	if c.acls.identities == nil {
		c.acls.identities = map[string]time.Duration{}
	}
	c.acls.identities[jwt] = life
}

// Revoke deletes a token.
func (c *Consul) Revoke(secret string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.acls.tokens, secret)
}

// Tokens are the secrets that are known, but for the anonymous one.
func (c *Consul) Tokens() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var known []string
	for secret := range c.acls.tokens {
		if secret != "" {
			known = append(known, secret)
		}
	}
	slices.Sort(known)
	return known
}

func (c *Consul) hasACLs() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.acls.tokens != nil
}

// known refuses tokens that are not.
func (c *Consul) known(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		token := c.acls.tokens[tokenOf(r)]
		unknown := c.acls.tokens != nil && (token == nil || (token.ExpirationTime != nil && time.Now().After(*token.ExpirationTime)))
		c.mu.Unlock()
		if unknown {
			http.Error(w, "ACL not found", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// readToken is what Consul says of the request's own token.
func (c *Consul) readToken(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	token := c.acls.tokens[tokenOf(r)]
	c.mu.Unlock()
	if token == nil {
		http.Error(w, "ACL support disabled", http.StatusUnauthorized)
		return
	}
	answer(w, token)
}

func (c *Consul) login(w http.ResponseWriter, r *http.Request) {
	var params api.ACLLoginParams
	if !decode(w, r, &params) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	life, ok := c.acls.identities[params.BearerToken]
	if !ok {
		http.Error(w, "no known key successfully validated the token signature", http.StatusInternalServerError)
		return
	}
	c.acls.logins++
	secret := fmt.Sprintf("login %d", c.acls.logins)
	c.acls.tokens[secret] = created(secret, life)
	answer(w, c.acls.tokens[secret])
}

func (c *Consul) logout(w http.ResponseWriter, r *http.Request) {
	c.Revoke(tokenOf(r))
	answer(w, true)
}

// authorize says which of some rights the request's token has.
func (c *Consul) authorize(w http.ResponseWriter, r *http.Request) {
	var asked []struct {
		Resource, Access, Segment string
		Allow                     bool
	}
	if !decode(w, r, &asked) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range asked {
		asked[i].Allow = asked[i].Resource != "service" || !c.acls.denied[tokenOf(r)][asked[i].Segment]
	}
	answer(w, asked)
}

func tokenOf(r *http.Request) string { return r.Header.Get("X-Consul-Token") }
