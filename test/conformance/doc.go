// Package conformance runs the conformance suite of the Gateway API against
// Sluice, on both engines and without a cluster.
//
// What is Sluice's is real: from objects to statuses it is the control loop with
// its translation (controller.go), and from sockets to sockets the data plane.
// Requests come from the suite itself over loopback addresses. The features are all
// those of the profiles GATEWAY-HTTP and GATEWAY-GRPC (features.go).
//
// What is Kubernetes' is simulated:
//
//   - The API server (cluster.go) is the fake client of controller-runtime. It
//     validates objects and sets their defaults as `sluice run` does with files.
//     Each update counts as a change of the spec.
//   - A Gateway without spec.addresses gets an address of its own at 127.0.10.0/24,
//     as a load balancer would give it one.
//   - Pods (echo.go) are processes of the suite's backend, echo-basic, one for each
//     Deployment, at ports of 127.0.0.1, with the Secrets and ConfigMaps that it
//     mounts as files (mount.go). Those of TCP and UDP are absent, as no test that is
//     run sends them anything.
//
// Timeouts are those of the suite or shorter. deviations.go lists the tests that
// are skipped or fail, and why; every other test passes, or the run fails.
//
// The suite sends to port 80, which takes root or, in a network of one's own,
//
//	unshare --map-root-user --net sh -c 'ip link set lo up && go test -v .'
package conformance
