#!/bin/sh
# Makes a certificate authority, a server's certificate and a client's, for a first try or a private network:
#
#   sh deploy/tls/make_certificates.sh DIRECTORY HOST...
#
# The server's certificate is valid for each HOST, a name or an address, and for localhost. Keys are elliptic-curve keys, not encrypted, and
# readable by their owner alone. Certificates last a year, the authority ten. Existing files stay: delete a certificate to make it anew.
set -eu

[ $# -ge 1 ] || { echo "usage: make_certificates.sh DIRECTORY [HOST...]" >&2; exit 2; }
directory=$1
shift
umask 077
mkdir -p "$directory"
cd "$directory"

names="DNS:localhost,IP:127.0.0.1"
for host in "$@"; do
    case $host in
        *:*) kind=IP ;;
        *[!0-9.]*) kind=DNS ;;
        *) kind=IP ;;
    esac
    names="$names,$kind:$host"
done

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

if [ ! -e ca.pem ]; then
    key ca.key
    openssl req -x509 -new -key ca.key -sha256 -days 3650 -subj "/CN=spanhouse CA" -out ca.pem \
        -addext "basicConstraints=critical,CA:true" -addext "keyUsage=critical,keyCertSign,cRLSign"
fi

# certificate NAME USAGE SUBJECT_ALTERNATIVE_NAMES
certificate() {
    [ ! -e "$1.pem" ] || return 0
    key "$1.key"
    openssl req -new -key "$1.key" -subj "/CN=spanhouse $1" -out "$1.csr"
    printf '%s\n' "basicConstraints=critical,CA:false" "keyUsage=critical,digitalSignature" "extendedKeyUsage=$2" "subjectAltName=$3" > "$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -sha256 -days 365 -extfile "$1.ext" -out "$1.pem" 2>/dev/null
    rm "$1.csr" "$1.ext"
}

certificate server serverAuth "$names"
certificate client clientAuth "DNS:client"
