# What a cluster must be able to do. $1 is the manifest, $2 how many nodes there are.
set -eu
sed "s/UNUSABLE/$SLUICE_TEST_UNUSABLE_ADDRESS/; s/USABLE/$SLUICE_TEST_USABLE_ADDRESS/" "$1" | kubectl apply -f -
kubectl rollout status deployment/echo --timeout=2m
kubectl wait service/local service/usable --for=jsonpath='{.status.loadBalancer.ingress[0].ip}' --timeout=1m
test -z "$(kubectl get service unusable -o jsonpath='{.status.loadBalancer.ingress}')"

answers() { # waits until the URL answers here, or in the network namespace of the process $2
	for _ in $(seq 100); do
		if ${2:+nsenter -t $2 -n} curl -sf -m 3 -o /dev/null "$1"; then
			return
		fi
		sleep 0.1
	done
	echo "$1 does not answer ${2:+a Pod}" >&2
	return 1
}
addresses="$(kubectl get service local usable -o jsonpath='{.items[*].status.loadBalancer.ingress[0].ip} {.items[*].spec.clusterIP}')"
addresses="$addresses $(kubectl get pods -l app=echo -o jsonpath='{range .items[*]}{.status.podIP}:3000 {end}')"
for node in $(seq "$2"); do addresses="$addresses 172.31.0.$node:30080"; done
for address in $addresses; do
	answers "http://$address/"
	for pod in $(pgrep -x echo-basic); do answers "http://$address/" "$pod"; done
done
kubectl logs deployment/echo | grep 'listening on port 3000'
kubectl exec deployment/echo -- /echo-basic 2>&1 | grep 'address already in use'
kubectl get --raw "/api/v1/nodes/node-$2/proxy/metrics/resource" | grep container_memory_working_set_bytes
kubectl get gatewayclasses,httproutes,listenersets,backends.sluice.dev,validatingadmissionpolicies
kubectl --context developer auth whoami | grep sluice-test:developer
if kubectl --context developer get pods; then
	echo 'a developer without a role reads Pods' >&2
	exit 1
fi

# The API server can be taken away, and comes back.
touch /run/cluster/held/kube-apiserver
kill -9 "$(cat /run/cluster/pids/kube-apiserver)"
if kubectl get --raw /readyz; then
	echo 'the API server answers although it is held' >&2
	exit 1
fi
rm /run/cluster/held/kube-apiserver
for _ in $(seq 150); do
	kubectl get --raw /readyz && exit 0
	sleep 0.2
done
exit 1
