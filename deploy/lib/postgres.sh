# postgres.sh - the deployment's private PostgreSQL: unix socket only, peer authentication, no
# password anywhere. As root it runs as `postgres`, in a directory that user can reach.
#
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154

# Runs a command as the user that owns the database.
as_pg_user() {
    if ((EUID == 0)); then
        (cd "$SHORT" && setpriv "--reuid=$PG_USER" "--regid=$PG_USER" --init-groups "$@")
    else
        "$@"
    fi
}

postgres_init() {
    [[ -s $PG_DATA/PG_VERSION ]] && return 0
    rm -rf "$PG_DATA"
    install -d -m 700 -o "$PG_USER" "$PG_DATA" "$PG_SOCKETS"
    as_pg_user "$PG_BIN/initdb" -D "$PG_DATA" -U postgres --auth=peer -E UTF8 --locale=C.UTF-8 ||
        return
    {
        printf "listen_addresses = ''\n"
        printf "unix_socket_directories = '%s'\n" "$PG_SOCKETS"
        printf 'max_connections = 200\nshared_buffers = 64MB\n'
        printf "log_line_prefix = '%%m [%%p] %%a '\n"
    } >"$PG_DATA/sluice.conf"
    printf "include 'sluice.conf'\n" >>"$PG_DATA/postgresql.conf"
    printf 'local all all peer map=sluice\n' >"$PG_DATA/pg_hba.conf"
    {
        printf 'sluice %s postgres\n' "$PG_USER"
        printf 'sluice %s postgres\nsluice %s sluice\n' "$(id -un)" "$(id -un)"
    } >"$PG_DATA/pg_ident.conf"
    chown "$PG_USER" "$PG_DATA/sluice.conf"
}

# The role and database, once the server answers.
postgres_database() {
    local psql=("$PG_BIN/psql" -X -q -h "$PG_SOCKETS" -U postgres -d postgres -At)
    if [[ $("${psql[@]}" -c "SELECT 1 FROM pg_roles WHERE rolname = 'sluice'") != 1 ]]; then
        "${psql[@]}" -c 'CREATE ROLE sluice LOGIN' || return
    fi
    if [[ $("${psql[@]}" -c "SELECT 1 FROM pg_database WHERE datname = 'sluice'") != 1 ]]; then
        "${psql[@]}" -c 'CREATE DATABASE sluice OWNER sluice' || return
    fi
}
