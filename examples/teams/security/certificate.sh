#!/bin/sh
# Makes a certificate for *.company.example and the Secret that holds it, to try
# the example with. In a cluster that is the work of cert-manager, say.
set -e
umask 077
cd "$(dirname "$0")"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=company.example \
  -addext 'subjectAltName=DNS:*.company.example' -keyout tls.key -out tls.crt 2>openssl.log
cat >secret.yaml <<EOF
apiVersion: v1
kind: Secret
metadata:
  name: company
  namespace: security
type: kubernetes.io/tls
data:
  tls.crt: $(openssl base64 -A -in tls.crt)
  tls.key: $(openssl base64 -A -in tls.key)
EOF
