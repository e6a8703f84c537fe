#!/usr/bin/env bash
# Make an authority and a certificate each for the scheduler, the workers and the client, with openssl,
# and the configuration of dask that names them.
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
cat > tls.yaml << END
# For every process of the cluster: DASK_CONFIG names this file. A process reads the certificate of its role only.
distributed:
  comm:
    default-scheme: tls
    require-encryption: true
    tls:
      ca-file: $PWD/ca.pem
      scheduler: {cert: $PWD/scheduler.pem, key: $PWD/scheduler-key.pem}
      worker: {cert: $PWD/worker.pem, key: $PWD/worker-key.pem}
      client: {cert: $PWD/client.pem, key: $PWD/client-key.pem}
END
rm -f -- *.csr *.cnf ca.srl openssl.log
echo "certificates for $days days are in $folder; keep ca-key.pem where no cluster is"
