-- Two roles: the application, which owns its tables, and Plimsoll, which reads statistics and nothing else.
\getenv app_user APP_USERNAME
\getenv app_password APP_PASSWORD
\getenv reader_user READER_USERNAME
\getenv reader_password READER_PASSWORD
CREATE ROLE :"app_user" LOGIN PASSWORD :'app_password';
CREATE DATABASE smartdairy OWNER :"app_user";
REVOKE ALL ON DATABASE smartdairy FROM PUBLIC;

CREATE ROLE :"reader_user" LOGIN PASSWORD :'reader_password' CONNECTION LIMIT 3;
GRANT pg_monitor TO :"reader_user";
GRANT CONNECT ON DATABASE smartdairy TO :"reader_user";

\connect smartdairy
CREATE EXTENSION pg_stat_statements;
