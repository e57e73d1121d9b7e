package configs

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// leaf is one value of a YAML file under its dotted key, in the words it was written in: a password of 0123 stays 0123.
type leaf struct {
	key  string
	text string
	list []string
	many bool
	none bool // null, or a mapping of nothing: a key without a value
	line int
}

// parseYAML flattens a file of nested mappings. Anchors, aliases, merges and tags are refused: a configuration says each thing once.
func parseYAML(data []byte) ([]leaf, error) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, yamlError(err)
	}
	var leaves []leaf
	for i, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if i > 0 {
			return nil, errors.New("it holds more than one document")
		}
		if leaves, err = flatten(nil, "", doc.Body); err != nil {
			return nil, err
		}
	}
	return leaves, nil
}

// yamlError keeps the message and the line, without the quoted source around it, which may hold a secret.
func yamlError(err error) error {
	var e yaml.Error
	if errors.As(err, &e) && e.GetToken() != nil {
		if strings.Contains(e.GetMessage(), "already defined") {
			return fmt.Errorf("line %d: a key stands there for the second time", e.GetToken().Position.Line)
		}
		return fmt.Errorf("line %d: it is not YAML", e.GetToken().Position.Line)
	}
	return errors.New("it is not YAML")
}

func flatten(leaves []leaf, prefix string, n ast.Node) ([]leaf, error) {
	var pairs []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		if pairs = n.Values; len(pairs) == 0 && prefix != "" {
			return append(leaves, leaf{key: prefix, none: true, line: line(n)}), nil
		}
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	case *ast.NullNode:
		if prefix != "" {
			leaves = append(leaves, leaf{key: prefix, none: true, line: line(n)})
		}
		return leaves, nil
	case *ast.CommentGroupNode:
		return leaves, nil
	case *ast.SequenceNode:
		l := leaf{key: prefix, many: true, line: line(n)}
		for _, item := range n.Values {
			s, ok := scalar(item)
			if !ok {
				return nil, fmt.Errorf("line %d: %s is a list of plain values", line(item), prefix)
			}
			l.list = append(l.list, s)
		}
		return append(leaves, l), nil
	default:
		s, ok := scalar(n)
		if !ok || prefix == "" {
			return nil, fmt.Errorf("line %d: a plain value, a list or keys are expected, without anchors and tags", line(n))
		}
		return append(leaves, leaf{key: prefix, text: s, line: line(n)}), nil
	}
	for _, p := range pairs {
		key, ok := scalar(p.Key)
		if !ok {
			return nil, fmt.Errorf("line %d: a key must be a plain word", line(p))
		}
		if prefix != "" {
			key = prefix + "." + key
		}
		var err error
		if leaves, err = flatten(leaves, key, p.Value); err != nil {
			return nil, err
		}
	}
	return leaves, nil
}

func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func line(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Type != token.UnknownType && t.Position != nil {
		return t.Position.Line
	}
	return 0
}
