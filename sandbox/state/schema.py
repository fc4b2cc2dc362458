"""The tables of the sandbox's SQLite file."""

SCHEMA = """
create table if not exists payments (
    id text primary key, account_id text, status text, billing_reason text, membership_id text,
    created_at text, paid_at text, document text not null) without rowid;
create index if not exists payments_by_account on payments (account_id, created_at, id);
create index if not exists payments_by_status on payments (status, created_at, id);
create index if not exists payments_by_membership on payments (membership_id, created_at, id);
create table if not exists memberships (
    id text primary key, account_id text, member_id text, status text,
    created_at text, document text not null) without rowid;
create index if not exists memberships_by_account on memberships (account_id, created_at, id);
create table if not exists refunds (
    id text primary key, account_id text, payment_id text,
    created_at text, document text not null) without rowid;
create index if not exists refunds_by_payment on refunds (payment_id, created_at, id);
create table if not exists cards (
    id text primary key, account_id text, member_id text, brand text, expires text,
    created_at text, document text not null) without rowid;
create index if not exists cards_by_member on cards (member_id, created_at, id);
create index if not exists cards_by_account on cards (account_id, created_at, id);
create table if not exists disputes (
    id text primary key, account_id text, payment_id text,
    created_at text, document text not null) without rowid;
create index if not exists disputes_by_payment on disputes (payment_id, created_at, id);
create table if not exists due (
    kind text, subject text, at text, detail text, primary key (kind, subject)) without rowid;
create index if not exists due_by_time on due (at);
create table if not exists ledger (
    number integer primary key, payment_id text, at text, by text, outcome text,
    amount text, usd_amount text, currency text, idempotency_key text);
create index if not exists ledger_by_payment on ledger (payment_id);
create table if not exists idempotency (
    caller text, key text, fingerprint text, started_at text, status integer, headers text,
    body blob, primary key (caller, key)) without rowid;
create table if not exists letters (
    number integer primary key, webhook_id text, type text, body blob, due_at text,
    failures integer not null default 0);
create index if not exists letters_by_time on letters (due_at, number);
create table if not exists mails (
    number integer primary key, id text, at text, document text not null);
create table if not exists mail_events (
    number integer primary key, mail_id text, at text, document text not null, posted integer);
create index if not exists mail_events_by_mail on mail_events (mail_id, at);
create index if not exists mail_events_to_post on mail_events (at) where posted = 0;
create table if not exists suppressed (
    address text primary key, list text, at text, reason text) without rowid;
create table if not exists channels (
    id text primary key, account_id text, user_id text, at text, unique (account_id, user_id));
create table if not exists chat_messages (
    number integer primary key, id text, channel_id text, at text, content text);
create index if not exists chat_messages_by_channel on chat_messages (channel_id, number);
create table if not exists posts (
    number integer primary key, platform text, at text, document text not null);
create table if not exists numbers (name text primary key, value integer) without rowid;
"""
