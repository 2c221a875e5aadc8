//! What an application sees in php-fpm behind nginx, under load and while everything around it changes.

mod fork;
mod fresh;
mod leak;
mod opcache;
mod pair;
mod preload;
mod quit;
mod reload;
