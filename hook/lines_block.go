package hook

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// block is a block of a job's file, in either syntax of HCL.
type block struct {
	body    hcl.Body
	label   string
	line    int
	dynamic bool // made for each of a list: its label is not in the file
}

// blocks are those of a kind in a block. Nomad's kinds have one label or none.
func (b *block) blocks(kind string, labelled bool) []*block {
	schema := &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: kind}, {Type: "dynamic", LabelNames: []string{"kind"}}}}
	if labelled {
		schema.Blocks[0].LabelNames = []string{"name"}
	}
	content, _, _ := b.body.PartialContent(schema)
	if content == nil {
		return nil
	}
	var found []*block
	for _, one := range content.Blocks {
		at := &block{body: one.Body, line: one.DefRange.Start.Line}
		switch {
		case one.Type == kind && labelled:
			at.label = one.Labels[0]
		case one.Type == "dynamic" && one.Labels[0] == kind:
			inner := at.blocks("content", false)
			if len(inner) != 1 {
				continue
			}
			at.body, at.dynamic = inner[0].body, true
		case one.Type == "dynamic":
			continue
		}
		found = append(found, at)
	}
	return found
}

// child is the block of a kind that is called so: by its label, or by an attribute
// ("name=web"). Without a name it is the first. Else it is the only one whose name
// is not in the file.
func (b *block) child(kind, name string) *block {
	key, value, byAttribute := strings.Cut(name, "=")
	blocks := b.blocks(kind, name != "" && !byAttribute)
	var dynamic []*block
	for _, one := range blocks {
		switch {
		case name == "", byAttribute && one.text(key) == value, one.label == name && !one.dynamic && !byAttribute:
			return one
		case one.dynamic:
			dynamic = append(dynamic, one)
		}
	}
	if len(dynamic) == 1 {
		return dynamic[0]
	}
	return nil
}

// follow goes a finding's way down, and gives the line where it ends.
func (b *block) follow(way string) int {
	if way == "" {
		return b.line
	}
	step, rest, _ := strings.Cut(way, "/")
	kind, name, _ := strings.Cut(step, " ")
	if next := b.child(kind, name); next != nil {
		return next.follow(rest)
	}
	if attribute := b.attribute(kind); attribute != nil && name == "" {
		return attribute.NameRange.Start.Line
	}
	return b.line
}

func (b *block) attribute(name string) *hcl.Attribute {
	content, _, _ := b.body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: name}}})
	if content == nil {
		return nil
	}
	return content.Attributes[name]
}

// text is the value of an attribute that has no variables.
func (b *block) text(name string) string {
	attribute := b.attribute(name)
	if attribute == nil {
		return ""
	}
	value, _ := attribute.Expr.Value(nil)
	text, err := convert.Convert(value, cty.String)
	if err != nil || text.IsNull() || !text.IsKnown() {
		return ""
	}
	return text.AsString()
}
