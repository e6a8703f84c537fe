#!/usr/bin/env bash
# Make an authority and a certificate each for the scheduler, the workers and the client, with openssl.
#
#     bash deploy/tls/certificates.sh FOLDER [DAYS]
set -euo pipefail
folder=${1:?which folder?}
days=${2:-30}
umask 077
mkdir -p "$folder"
cd "$folder"
if [ -e ca-key.pem ]; then
    echo "$folder has an authority already: remove it to make another" >&2
    exit 1
fi
printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n' > ca.cnf
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=authority of one dask cluster" \
    -keyout ca-key.pem -out ca.csr 2>> openssl.log
openssl x509 -req -in ca.csr -signkey ca-key.pem -days "$days" -extfile ca.cnf -out ca.pem 2>> openssl.log
printf 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n' > role.cnf
for role in scheduler worker client; do
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$role" \
        -keyout "$role-key.pem" -out "$role.csr" 2>> openssl.log
    openssl x509 -req -in "$role.csr" -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days "$days" \
        -extfile role.cnf -out "$role.pem" 2>> openssl.log
done
rm -f -- *.csr *.cnf ca.srl openssl.log
echo "certificates for $days days are in $folder; keep ca-key.pem where no cluster is"
