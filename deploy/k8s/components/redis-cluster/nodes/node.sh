# Starts a node of the cluster with the server's flags "$@", and looks after its place in it.
# From the pod: NODES, SERVICE (headless), POD_IP, POD_NAME, REDISCLI_AUTH where there is a password.
set -u

addresses() {  # of all nodes; an address changes whenever its pod does, the name does not
    number=0
    while [ "$number" -lt "$NODES" ]; do
        getent hosts "${POD_NAME%-*}-$number.$SERVICE"
        number=$((number + 1))
    done | cut -d' ' -f1
}

fact() { redis-cli cluster info | tr -d '\r' | sed -n "s/^$1://p"; }

create() {
    set --
    for address in $(addresses); do
        redis-cli -h "$address" -e ping >/dev/null || return
        set -- "$@" "$address:6379"
    done
    [ $# = "$NODES" ] && redis-cli --cluster create "$@" --cluster-replicas 1 --cluster-yes
}

# Nodes know each other by address. When all have moved, none finds another until it is told.
meet() {
    for address in $(addresses); do redis-cli cluster meet "$address" 6379 >/dev/null; done
}

look_after() {
    while sleep 2; do
        if [ "$(fact cluster_slots_assigned)" = 0 ]; then
            [ "${POD_NAME##*-}" != 0 ] || create
        elif [ "$(fact cluster_state)" = fail ]; then
            meet
        fi
    done
}

look_after &
exec redis-server --cluster-enabled yes --cluster-announce-ip "$POD_IP" "$@"
