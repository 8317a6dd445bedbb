package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluicegateway/sluice/cli/explain"
	"github.com/sluicegateway/sluice/control/translate"
)

func explainCommand() *cobra.Command {
	var options translate.Options
	var live bool
	var address string
	output := oneOf("text", "json")
	c := &cobra.Command{
		Use:   "explain {PATH…|--live} -- [METHOD] URL [-H 'name: value']…",
		Short: "Tell which way a request takes, and why it takes no other",
		Long: `Explain asks the router that serves requests for the listener, route, rule,
filters and backends of one request, and for each other candidate why it lost.
It sends nothing.

A call of gRPC is grpc://HOST[:PORT]/SERVICE/METHOD, or grpcs:// where it is in TLS.`,
		Example: `  sluice explain examples/quickstart -- GET http://shop.example:8080/cart -H 'env: canary'
  sluice explain objects.yaml -- grpc://cart.example/shop.Cart/Add
  sluice explain --live -- http://127.0.0.1:8080/ -H 'Host: shop.example'`,
		RunE: func(c *cobra.Command, args []string) error {
			paths, request, err := explainArguments(c, args, live)
			if err != nil {
				return usageError{err}
			}
			e, err := explainRequest(c, paths, request, options, address)
			if err != nil {
				return err
			}
			if output.value == "json" {
				return printAs(c.OutOrStdout(), "json", e)
			}
			return e.Write(c.OutOrStdout())
		},
	}
	addTranslateFlags(c, &options)
	addAdminFlag(c, &address)
	c.Flags().BoolVar(&live, "live", false, "ask the gateway that is running, instead of PATHs")
	c.Flags().VarP(output, "output", "o", "how to print: text or json")
	return c
}

// explainArguments splits the arguments into the paths and the request behind "--".
func explainArguments(c *cobra.Command, args []string, live bool) (paths []string, r explain.Request, err error) {
	dash := c.ArgsLenAtDash()
	if dash < 0 {
		return nil, r, errors.New("describe the request behind --, as in: -- GET http://shop.example/cart -H 'env: canary'")
	}
	paths = args[:dash]
	switch {
	case live && len(paths) > 0:
		return nil, r, errors.New("--live asks a running gateway: give no PATHs with it")
	case !live && len(paths) == 0:
		return nil, r, errors.New("give the PATHs of the objects in front of --, or --live to ask a running gateway")
	}
	r, err = parseRequest(args[dash:])
	return paths, r, err
}

// parseRequest reads [METHOD] URL and -H, in any order.
func parseRequest(args []string) (explain.Request, error) {
	var r explain.Request
	flags := pflag.NewFlagSet("request", pflag.ContinueOnError)
	flags.Usage = func() {}
	flags.StringArrayVarP(&r.Headers, "header", "H", nil, "a header field, 'name: value'")
	if err := flags.Parse(args); err != nil {
		return r, fmt.Errorf("request: %w", err)
	}
	switch words := flags.Args(); len(words) {
	case 1:
		r.URL = words[0]
	case 2:
		r.Method, r.URL = strings.ToUpper(words[0]), words[1]
	default:
		return r, fmt.Errorf("request: want [METHOD] URL, got %q", words)
	}
	return r, nil
}

func explainRequest(c *cobra.Command, paths []string, r explain.Request, o translate.Options, address string) (*explain.Explanation, error) {
	if len(paths) == 0 {
		e := new(explain.Explanation)
		return e, askAdmin(c.Context(), address, "/explain", r, e)
	}
	state, err := offline(c, paths, o)
	if err != nil {
		return nil, err
	}
	configuration := state.View.Config()
	table, err := compile(configuration)
	if err != nil {
		return nil, err
	}
	return explain.Explain(table, configuration, r)
}
