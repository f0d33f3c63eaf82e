#!/usr/bin/env bash
# Makes the certificates of the tests: an authority, and a server called `localhost`. Worth nothing anywhere else.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
openssl req -x509 -newkey rsa:2048 -nodes -days 36500 -subj "/CN=flowrunner tests" \
    -addext "keyUsage=critical,keyCertSign" -keyout ca.key -out ca.pem
openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" -keyout server.key -out server.csr
openssl x509 -req -days 36500 -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem \
    -extfile <(printf 'subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n')
rm -f ca.key ca.srl server.csr
