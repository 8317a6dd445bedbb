package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/source/file"
	"github.com/sluicegateway/sluice/control/translate"
	"github.com/sluicegateway/sluice/proxy/route"
)

// controllerName is the spec.controllerName of the GatewayClasses that are ours.
const controllerName = "sluice.dev/gateway-controller"

// addTranslateFlags adds the flags that the translation depends on.
func addTranslateFlags(c *cobra.Command, o *translate.Options) {
	o.ControllerName = controllerName
	o.HostAddresses = hostAddresses()
	c.Flags().BoolVar(&o.AllowExternalName, "allow-external-name", false,
		"let routes refer to Services of type ExternalName: whoever writes a Service then reaches what the gateway reaches (CVE-2021-25740)")
}

// hostAddresses are what Gateways without addresses of their own report: the
// addresses under which others reach this host, or loopback where there are none.
func hostAddresses() []netip.Addr {
	var all []netip.Addr
	interfaces, _ := net.InterfaceAddrs() // without them loopback it is
	for _, i := range interfaces {
		prefix, err := netip.ParsePrefix(i.String())
		if err == nil && prefix.Addr().IsGlobalUnicast() {
			all = append(all, prefix.Addr())
		}
	}
	if len(all) == 0 {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	// Statuses hold at most 16 addresses (GatewayStatus.addresses).
	return all[:min(len(all), 16)]
}

// offline reads the paths once and translates what is there, without serving it.
func offline(c *cobra.Command, paths []string, o translate.Options) (*control.State, error) {
	contents, err := file.Load(c.Context(), file.Options{Paths: paths, Stdin: c.InOrStdin()})
	if err != nil {
		return nil, err
	}
	half := control.New(control.Options{
		Translate: o,
		DataPlane: noDataPlane{},
		Log:       slog.New(slog.DiscardHandler),
		Locate:    contents.Place,
	})
	if err := half.Run(c.Context(), once{control.Update(contents.Update)}); err != nil {
		return nil, err
	}
	return half.State(), nil
}

// once is a source whose objects never change.
type once struct{ control.Update }

func (o once) Run(_ context.Context, update func(control.Update)) error {
	update(o.Update)
	return nil
}

// noDataPlane serves nothing, so that nobody is told that anything is Programmed.
type noDataPlane struct{}

func (noDataPlane) Apply(*config.Delta) config.Report { return config.Report{} }

// compile makes the router of a configuration.
func compile(c *config.Delta) (*route.Table[struct{}], error) {
	var empty *route.Table[struct{}]
	return empty.Apply(c, func(*config.Route, *config.Rule) struct{} { return struct{}{} })
}

// shadowed are warnings about matches that no request reaches, of which the
// router knows.
func shadowed(s *control.State) ([]diagnostic.Diagnostic, error) {
	table, err := compile(s.View.Config())
	if err != nil {
		return nil, err
	}
	var found []diagnostic.Diagnostic
	places := map[route.Place]int{} // where in found a match's warning is
	for _, shadow := range table.Shadowed() {
		if at, known := places[shadow.Match]; known {
			found[at].Message += ", " + place(shadow)
			continue
		}
		places[shadow.Match] = len(found)
		found = append(found, s.Locate(shadowWarning(shadow)))
	}
	return found, nil
}

func shadowWarning(s route.Shadow) diagnostic.Diagnostic {
	return diagnostic.Diagnostic{
		Severity: diagnostic.Warning,
		Object:   routeKey(s.Match.Route),
		Field:    fmt.Sprintf("spec.rules[%d].matches[%d]", s.Match.Rule, s.Match.Match),
		Message: fmt.Sprintf("no request reaches this match (%s): rule %d of %s (%s) goes before it and takes them all, on %s",
			s.Match.Conditions, s.By.Rule, s.By.Route, s.By.Conditions, place(s)),
		Fix: "remove one of the two, or make this one more specific",
	}
}

func place(s route.Shadow) string {
	if s.Hostname == "" {
		return "listener " + s.Listener
	}
	return "listener " + s.Listener + " for " + s.Hostname
}

// routeKey is the object of a route's name in the configuration.
func routeKey(name string) snapshot.Key {
	parts := strings.SplitN(name, "/", 3)
	for _, kind := range []snapshot.Kind{snapshot.KindHTTPRoute, snapshot.KindGRPCRoute} {
		if len(parts) == 3 && parts[0] == strings.ToLower(string(kind)) {
			return snapshot.Key{Kind: kind, Namespace: parts[1], Name: parts[2]}
		}
	}
	return snapshot.Key{}
}

// printAs prints a value as "yaml" or "json".
func printAs(w io.Writer, format string, value any) error {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	content = append(content, '\n')
	if format == "yaml" {
		if content, err = yaml.JSONToYAML(content); err != nil {
			return err
		}
	}
	_, err = w.Write(content)
	return err
}
