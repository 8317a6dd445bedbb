package cli

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/translate"
)

// controllerOptions are the flags of controller.
type controllerOptions struct {
	serveOptions
	kubeconfig     string
	namespace, pod string
	podUID         string
	controllerName string
	lease          string
	hostNetwork    bool
	stateDir       string
	own            []netip.Addr
}

func controllerCommand() *cobra.Command {
	var o controllerOptions
	c := &cobra.Command{
		Use:   "controller",
		Short: "Serve the Gateways of a Kubernetes cluster",
		Long: `Controller follows the objects of a Kubernetes API server, serves the traffic
that they describe, and says in their statuses what became of them. Several
replicas all serve; one of them, the leader, writes. Without the API server it
goes on serving what it knows.

It is made to run in a Pod, which says by environment variables who it is; the
chart and the manifests of Sluice set all that it needs.

SIGTERM drains: /readyz fails and the lead is given up at once, connections are
accepted for the minimum of the drain, then requests in flight may end until its
limit. SIGINT skips the minimum, and a second signal ends at once.`,
		Example: `  sluice controller --kubeconfig ~/.kube/config --namespace sluice-system --pod-name sluice-1 --pod-uid 6f9b`,
		Args:    arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := errors.Join(o.complete(c), o.completeCluster()); err != nil {
				return usageError{err}
			}
			g, err := newClusterGateway(&o)
			if err != nil {
				return err
			}
			return g.serve(c.Context())
		},
	}
	o.addFlags(c)
	f := c.Flags()
	f.StringVar(&o.health, "health", "127.0.0.1:9902", "`address` where only /livez, /readyz and /metrics are served; may be open to the kubelet and to Prometheus")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "`file` that says how to reach the API server; without it KUBECONFIG, or the ServiceAccount of the Pod")
	f.StringVar(&o.namespace, "namespace", os.Getenv("POD_NAMESPACE"), "namespace of this installation; POD_NAMESPACE in the environment sets the default")
	f.StringVar(&o.pod, "pod-name", os.Getenv("POD_NAME"), "name of the Pod that this is; POD_NAME in the environment sets the default")
	f.StringVar(&o.podUID, "pod-uid", os.Getenv("POD_UID"), "UID of that Pod; POD_UID in the environment sets the default")
	f.StringVar(&o.controllerName, "controller-name", controllerName, "spec.controllerName of the GatewayClasses to serve")
	f.StringVar(&o.lease, "leader-election-lease", "sluice", "`name` of the Lease, in the namespace, that makes one replica the leader")
	f.BoolVar(&o.hostNetwork, "host-network", false, "listen on the Gateways' own ports of the node instead of making a Service for each Gateway")
	f.StringVar(&o.stateDir, "state-dir", "", "`folder`, best in memory, for the configuration in force, which a restarted container serves at once; it holds private keys")
	return c
}

// completeCluster refuses values that no flag type refuses, and takes the
// addresses of the Pod and its node from the environment.
func (o *controllerOptions) completeCluster() error {
	for _, required := range []struct{ flag, variable, value string }{
		{"--namespace", "POD_NAMESPACE", o.namespace}, {"--pod-name", "POD_NAME", o.pod}, {"--pod-uid", "POD_UID", o.podUID},
	} {
		if required.value == "" {
			return fmt.Errorf("%s is missing: the Pod's %s says it in a cluster; elsewhere write the flag", required.flag, required.variable)
		}
	}
	for flag, name := range map[string]string{"--pod-name": o.pod, "--leader-election-lease": o.lease} {
		if wrong := validation.IsDNS1123Subdomain(name); len(wrong) > 0 {
			return fmt.Errorf("%s %q is no name of an object: %s", flag, name, strings.Join(wrong, "; "))
		}
	}
	if wrong := validation.IsDNS1123Label(o.namespace); len(wrong) > 0 {
		return fmt.Errorf("--namespace %q is no name of a namespace: %s", o.namespace, strings.Join(wrong, "; "))
	}
	if wrong := validation.IsDomainPrefixedPath(field.NewPath("--controller-name"), o.controllerName); len(wrong) > 0 {
		return wrong.ToAggregate()
	}
	if _, _, err := net.SplitHostPort(o.health); err != nil {
		return fmt.Errorf("--health %q: write HOST:PORT, such as 127.0.0.1:9902", o.health)
	}
	o.translate.ControllerName = gatewayv1.GatewayController(o.controllerName)
	o.translate.HostAddresses = nil // the cluster says under which addresses others reach a Gateway
	o.translate.Cluster = &translate.Cluster{HostNetwork: o.hostNetwork}
	var err error
	o.own, err = ownAddresses(os.Getenv("POD_IPS"), os.Getenv("HOST_IPS"))
	return err
}

// ownAddresses are those of this machine's interfaces, and those of the Pod and
// its node that the environment says, separated by commas.
func ownAddresses(podIPs, hostIPs string) ([]netip.Addr, error) {
	var all []netip.Addr
	interfaces, _ := net.InterfaceAddrs() // what cannot be listed is not known
	for _, i := range interfaces {
		if prefix, err := netip.ParsePrefix(i.String()); err == nil {
			all = append(all, prefix.Addr())
		}
	}
	for name, addresses := range map[string]string{"POD_IPS": podIPs, "HOST_IPS": hostIPs} {
		for text := range strings.SplitSeq(addresses, ",") {
			if text = strings.TrimSpace(text); text == "" {
				continue
			}
			address, err := netip.ParseAddr(text)
			if err != nil {
				return nil, fmt.Errorf("%s in the environment: %q is no address", name, text)
			}
			all = append(all, address)
		}
	}
	return all, nil
}
