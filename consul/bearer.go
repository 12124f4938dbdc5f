package consul

// bearer is what sentences say of the token that a request was made with.
type bearer struct {
	name  string // after "the ACL token"; with a space before it, or empty
	given bool
	where string // where another is waited for
}

// bearer is that of the requests which name no other token.
func (c *Client) bearer() bearer {
	return bearer{name: c.which(), given: c.Tokens().Task != "", where: c.whereTokens()}
}

// agentBearer is that of what is asked with the operator's token, where there is one.
func (c *Client) agentBearer() bearer {
	if tokens := c.Tokens(); tokens.Agent == "" || tokens.Agent == tokens.Task {
		return c.bearer()
	}
	return bearer{name: " of the plugin's config", given: true, where: "; put one that it knows into the file consul { token_file } of the plugin's config"}
}

// which names the token of now, after "the ACL token".
func (c *Client) which() string {
	if name := c.TokenName(); name != "" {
		return " " + name
	}
	return ""
}

// whereTokens says where a token that Consul knows is waited for.
func (c *Client) whereTokens() string {
	if c.cfg.TokenFile == "" {
		return ""
	}
	return "; a new one is taken as soon as it lies in " + c.cfg.TokenFile
}
