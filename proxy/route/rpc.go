package route

import (
	"fmt"
	"strings"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/message"
)

// rpcTest is a condition on the method that a request calls by gRPC.
type rpcTest struct {
	service, method nameTest
}

// nameTest compares the name of a service or method; the zero value takes any.
type nameTest struct {
	name string
	// expression is nil where the name is compared exactly.
	expression *expression
}

// compileRPC puts the match where the search looks for it: under the path or
// the service where these are named, among the scanned where they are not.
func (c *conditions) compileRPC(m *config.RPCMatch) error {
	c.rpc = new(rpcTest)
	var err error
	if c.rpc.service, err = compileName("service", m.Service, m.Regex); err != nil {
		return err
	}
	if c.rpc.method, err = compileName("method", m.Method, m.Regex); err != nil {
		return err
	}
	switch {
	case m.Regex || m.Service == "":
		c.kind = scanned
	case m.Method == "":
		c.kind, c.path = atService, m.Service
	default:
		c.kind, c.path = atPath, "/"+m.Service+"/"+m.Method
	}
	return nil
}

func compileName(what, name string, regex bool) (nameTest, error) {
	t := nameTest{name: name}
	var err error
	if regex && name != "" {
		t.expression, err = compileExpression(what, name)
	}
	return t, err
}

func (t *nameTest) matches(name string) bool {
	if t.expression != nil {
		return t.expression.matches(name)
	}
	return t.name == "" || t.name == name
}

// call splits the path of a request that calls a method by gRPC. The content
// type is not looked at: gRPC-Web and others call the same methods with another,
// and a server that does not know one says so itself.
func call(r *message.Request) (service, method string, ok bool) {
	if r.Method != "POST" {
		return "", "", false
	}
	i := strings.LastIndexByte(r.Path, '/')
	if i < 2 || i == len(r.Path)-1 {
		return "", "", false
	}
	return r.Path[1:i], r.Path[i+1:], true
}

// test says which part does not hold, or none.
func (t *rpcTest) test(r *message.Request) part {
	service, method, ok := call(r)
	switch {
	case !ok:
		return partCall
	case !t.service.matches(service):
		return partService
	case !t.method.matches(method):
		return partRPCMethod
	}
	return none
}

// rank orders what is scanned: an expression for the service before none, and
// of these a name of the method before an expression before none.
func (t *rpcTest) rank() int { return 3*t.service.rank() + t.method.rank() }

func (t *nameTest) rank() int {
	switch {
	case t.name == "":
		return 2
	case t.expression != nil:
		return 1
	}
	return 0
}

// includes reports whether t takes every call that other takes.
func (t *rpcTest) includes(other *rpcTest) bool {
	return t.service.includes(&other.service) && t.method.includes(&other.method)
}

func (t *nameTest) includes(other *nameTest) bool {
	if t.name == "" || t.expression != nil && t.name == ".*" {
		return true
	}
	return t.name == other.name && (t.expression == nil) == (other.expression == nil)
}

// String is the test in words: `service shop.Cart, method Add`.
func (t *rpcTest) String() string {
	var words []string
	for _, part := range []struct {
		what string
		test *nameTest
	}{{"service", &t.service}, {"method", &t.method}} {
		switch {
		case part.test.name == "":
		case part.test.expression != nil:
			words = append(words, fmt.Sprintf("%s ~ %q", part.what, part.test.name))
		default:
			words = append(words, part.what+" "+part.test.name)
		}
	}
	if words == nil {
		return "any method of gRPC"
	}
	return strings.Join(words, ", ")
}

// explain says why the test fails; it is empty if it does not.
func (t *rpcTest) explain(r *message.Request) string {
	service, method, _ := call(r)
	switch t.test(r) {
	case partCall:
		return fmt.Sprintf("%s %s calls no method of gRPC, which is POST /service/method", clip(r.Method), clip(r.Path))
	case partService:
		return t.service.explain("service", service)
	case partRPCMethod:
		return t.method.explain("method", method)
	}
	return ""
}

func (t *nameTest) explain(what, name string) string {
	if t.expression != nil {
		return fmt.Sprintf("%s %s does not match the expression %q", what, clip(name), t.name)
	}
	return fmt.Sprintf("%s is %s, not %s", what, clip(name), t.name)
}
